"""Environment inference: a biased model's confidence gives environments to use as groups."""

from dataclasses import dataclass
from functools import partial

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import check_at_least, check_positive
from debias.group_inference.environments import environment_weights
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained


@dataclass(kw_only=True)
class EIIL(Recipe):
    r"""Train a reference model, then infer two environments in which it errs differently.

    1. ``reference``: plain ERM, for so few epochs that it knows the shortcut and little else.
    2. :func:`debias.group_inference.environments.environment_weights` of its training logits, cut
       at 1/2, are the environments.
    3. The run's own strategy is trained on them, such as ``irm`` or ``group_dro``.

    Source: Creager et al., "Environment Inference for Invariant Learning", ICML 2021; reference
    code ecreager/eiil. ``groups.csv`` has the environments.

    Args:
        reference: what the first stage changes of the run's config, such as ``{epochs: 1}``.
        steps: of the inference.
        learning_rate: of the inference.

    Raises:
        ValueError: ``steps`` is below 1, or ``learning_rate`` not positive.

    Differs from the reference: a strategy's groups are class and environment together; SpuCo's
    Group DRO takes the two environments alone.
    """

    infers = ("train",)

    reference: Settings | None = None
    steps: int = 10000
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.steps": self.steps}, of="EIIL")
        check_positive({"recipe.learning_rate": self.learning_rate}, of="EIIL")

    def stages(self, run: Run) -> list[Config]:
        """The reference, and the last stage but for what reads the environments."""
        return [run.stage_config(self.reference), run.stage_config()]

    def train(self, run: Run) -> Trained:
        """Train the reference, infer, train."""
        reference = run.train_stage("reference", run.stage_config(self.reference))
        found = reference.predictions("train")
        infer = partial(environment_weights, steps=self.steps, learning_rate=self.learning_rate)
        weights = infer(found.logits, found.target, seeded_generator(run.config.seed))
        inferred = reference.everywhere(found.index, weights > 0.5)
        return run.train_last(partition=run.infer(inferred, reference.examples))
