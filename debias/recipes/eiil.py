"""EIIL (environment inference): environments from a biased model's logits, used as groups."""

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

    1. ``reference``: plain ERM for a few epochs, so that the model learns little but the shortcut.
    2. :func:`debias.group_inference.environments.environment_weights` of its training logits gives
       the probability of the second environment. A threshold of 1/2 divides the images.
    3. The run's own strategy, such as ``irm`` or ``group_dro``, is trained with the environments in
       place of bias labels.

    Source: Creager et al., "Environment Inference for Invariant Learning", ICML 2021; reference
    code ecreager/eiil. ``groups.csv`` has the environments.

    Args:
        reference: changes to the run's config for the first stage, such as ``{epochs: 1}``.
        steps: number of optimisation steps of the inference.
        learning_rate: learning rate of the inference.

    Raises:
        ValueError: ``steps`` is below 1, or ``learning_rate`` is not positive.

    Differs from the reference: the groups of a strategy are pairs of class and environment. Group
    DRO in SpuCo uses the two environments alone.
    """

    infers = ("train",)

    reference: Settings | None = None
    steps: int = 10000
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.steps": self.steps}, of="EIIL")
        check_positive({"recipe.learning_rate": self.learning_rate}, of="EIIL")

    def stages(self, run: Run) -> list[Config]:
        """Configs of the reference, and of the last stage as plain ERM (no groups exist yet)."""
        return [run.stage_config(self.reference), run.stage_config()]

    def train(self, run: Run) -> Trained:
        """Train the reference, infer the environments, and train the last stage."""
        reference = run.train_stage("reference", run.stage_config(self.reference))
        predictions = reference.predictions("train")
        infer = partial(environment_weights, steps=self.steps, learning_rate=self.learning_rate)
        weights = infer(predictions.logits, predictions.target, seeded_generator(run.config.seed))
        inferred = reference.everywhere(predictions.index, weights > 0.5)
        return run.train_last(partition=run.infer(inferred, reference.examples))
