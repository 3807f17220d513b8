"""BiasEnsemble: biased networks choose the images on which LfF trains its biased network."""

from dataclasses import dataclass

import torch
from torch import Tensor

from debias import config as configs
from debias.config import Config
from debias.data.checks import fewer
from debias.data.examples import Examples
from debias.errors import InputError, check_at_least, check_between, check_one_of, shown
from debias.group_inference.agreement import agreed
from debias.merging import Settings
from debias.progress import say
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work

#: The strategies whose biased network is trained on the chosen images.
STRATEGIES = ("amplified_lff", "amplified_disentangled")


@dataclass(kw_only=True)
class BiasEnsemble(Recipe):
    """Train several biased networks, then LfF, guided by the images they are sure of.

    1. ``biased-1``, ``biased-2`` and so on: networks with the strategy
       ``generalized_cross_entropy``, each with a seed of its own.
    2. The amplified set has the training images whose class at least ``agreement`` networks predict
       with a probability above ``threshold``. It has few images that the shortcut misleads.
    3. The run's strategy, ``amplified_lff`` or ``amplified_disentangled``, trains its biased
       network on the amplified set alone, and its model on all images.

    Source: Lee et al., "Revisiting the Importance of Amplifying Bias for Debiasing" (BiasEnsemble),
    AAAI 2023; reference code kakaoenterprise/BiasEnsemble. ``groups.csv`` has 1 for the images of
    the amplified set.

    Args:
        biased: changes to the run's config for the biased networks, such as ``{epochs: 2}``.
        networks: number of biased networks.
        threshold: least probability of the true class, in [0, 1].
        agreement: how many networks must be sure, at least 1 and at most ``networks``.

    Raises:
        ValueError: ``networks`` or ``agreement`` is below 1, ``agreement`` is above ``networks``,
            or ``threshold`` is outside [0, 1].

    Differs from the reference: a biased network is that of its last epoch. The code keeps the step
    with the best validation accuracy, among the first and the 501st of 1,000. On validation images
    that the shortcut does not help, this is the least biased step. A class without an image in the
    amplified set is an error.
    """

    biased: Settings | None = None
    networks: int = 5
    threshold: float = 0.99
    agreement: int = 3

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.networks": self.networks, "recipe.agreement": self.agreement})
        check_between("[0, 1]", {"recipe.threshold": self.threshold})
        if self.agreement > self.networks:
            raise InputError(
                f"recipe.agreement must be at most recipe.networks={self.networks}; got "
                f"recipe.agreement={self.agreement}"
            )

    def stages(self, run: Run) -> list[Config]:
        """Configs of the biased networks, and of the last stage as plain ERM (no set exists yet).

        Raises:
            ValueError: the run has its own sampler, or its strategy has no biased network to train
                on the amplified set.
        """
        hint = "name one, as in strategy.name=amplified_lff"
        check_one_of(STRATEGIES, {"strategy.name": run.config.strategy["name"]}, hint=hint)
        run.refuse_own("sampler")
        return [*self._biased(run), run.stage_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of the biased networks, and of the last stage."""
        *biased, _ = self.stages(run)
        return [Work(biased[0], sizes, times=len(biased), looks=1), Work(run.last_config(), sizes)]

    def train(self, run: Run) -> Trained:
        """Train the biased networks, choose the amplified set, and train the last stage."""
        chances = []
        for number, config in enumerate(self._biased(run), start=1):
            stage = run.train_stage(f"biased-{number}", config)
            found = stage.predictions("train", progress=run.config.progress)
            chosen = found.target[:, None]
            chances.append(found.logits.softmax(dim=1).gather(1, chosen)[:, 0])
        amplified = agreed(torch.stack(chances), threshold=self.threshold, agreement=self.agreement)
        _report(amplified, found.target, stage.examples)
        inferred = stage.everywhere(found.index, amplified)
        return run.train_last(partition=run.infer(inferred, stage.examples))

    def _biased(self, run: Run) -> list[Config]:
        strategy = {"strategy": {"name": "generalized_cross_entropy"}}
        config = configs.changed(run.stage_config(strategy), self.biased or {})
        first = config.seed * self.networks  # runs of other seeds have other networks
        return [configs.changed(config, {"seed": first + one}) for one in range(self.networks)]


def _report(amplified: Tensor, target: Tensor, examples: Examples) -> None:
    """Print the share of each class in the amplified set.

    Raises:
        ValueError: a class has no image in it.
    """
    names = examples.groups.target_names
    held = torch.bincount(target[amplified], minlength=len(names))
    counts = torch.bincount(target, minlength=len(names))
    if few := fewer(names, torch.where(counts > 0, held, 1)):
        raise InputError(
            f"no image of {shown(few)} is in the amplified set, so the biased network would not "
            "learn the class: train for more epochs, recipe.biased.epochs=..., or lower "
            "recipe.threshold or recipe.agreement"
        )
    pairs = zip(names, (held / counts).tolist(), strict=True)
    shares = [f"{name} {share:.0%}" for name, share in pairs]
    say(f"amplified set: {shown(shares)}")
