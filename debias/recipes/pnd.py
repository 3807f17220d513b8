"""PnD: train the experts of Partition-and-Debias, then train them further with swapped features."""

from dataclasses import dataclass

from debias import config as configs
from debias.config import Config
from debias.errors import InputError, check_at_least, check_one_of
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained

#: The strategy that has the experts.
STRATEGY = "partition"


@dataclass(kw_only=True)
class PnD(Recipe):
    """Train pairs of experts, then continue with a larger weight and a contrast (PnD).

    1. ``experts``: the run's strategy, which must be ``partition``, with ``debiased_weight`` and
       without contrast.
    2. Everything is trained further with the run's strategy as it is: both trunks, experts, gate
       and the memories of losses.

    The authors train 70 epochs of Adam at 1e-3, then 100 at 5e-4, in batches of 128. The rate is
    halved every 20 epochs.

    Source: Li, Vo, Nakayama, "Partition-and-Debias: Agnostic Biases Mitigation via a Mixture of
    Biases-Specific Experts", ICCV 2023; reference code Jiaxuan-Li/PnD.

    Args:
        experts: changes to the run's config for the first stage, such as
            ``{epochs: 70, optimizer: {lr: 1e-3}}``. The model, and the strategy's ``layers`` and
            ``width``, must be those of the run.
        debiased_weight: weight of the debiased experts in the first stage, at least 0.

    Raises:
        ValueError: ``debiased_weight`` is negative.

    Differs from the reference: the second stage starts from the last epoch of the first one, and
    its own best epoch is evaluated. There it starts from the best epoch by validation accuracy, and
    the best epoch of both stages is evaluated.
    """

    continues = True
    takes_groups = True

    experts: Settings | None = None
    debiased_weight: float = 0.2

    def __post_init__(self) -> None:
        check_at_least(0, {"recipe.debiased_weight": self.debiased_weight})

    def stages(self, run: Run) -> list[Config]:
        """Configs of both stages.

        Raises:
            ValueError: the strategy of the run is another one, or ``experts`` changes the network.
        """
        hint = f"set strategy.name={STRATEGY}"
        check_one_of((STRATEGY,), {"strategy.name": run.config.strategy["name"]}, hint=hint)
        first, last = self._experts(run), run.last_config()
        for name, value in _network(last).items():
            if _network(first)[name] != value:
                raise InputError(
                    f"recipe.experts changes {name}, but the second stage continues with the "
                    f"weights of the first: set {name} for the run, which changes both stages"
                )
        return [first, last]

    def train(self, run: Run) -> Trained:
        """Train the experts, and train them further with the contrast."""
        return run.train_last(start=run.train_stage("experts", self._experts(run)))

    def _experts(self, run: Run) -> Config:
        options = {"debiased_weight": self.debiased_weight, "contrast_weight": 0.0}
        config = run.last_config({"strategy": {**run.config.strategy, **options}})
        return configs.changed(config, self.experts or {})


def _network(config: Config) -> Settings:
    """The settings of the strategy that decide which weights a stage has, by name."""
    names = ("name", "width", "layers")
    return {f"strategy.{name}": config.strategy.get(name) for name in names}
