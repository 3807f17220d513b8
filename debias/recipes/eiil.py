"""Environment inference: a biased model's confidence gives environments to use as groups."""

from __future__ import annotations

from typing import Any

from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import InputError
from debias.group_inference import environment_weights
from debias.runs.run import Recipe, Run, Trained


class EIIL(Recipe):
    r"""Train a reference model, then infer two environments in which it errs differently.

    1. ``reference``: plain ERM, for so few epochs that it knows the shortcut and little else.
    2. :func:`debias.group_inference.environment_weights` of its training logits, cut at 1/2, are
       the environments.
    3. The run's own strategy is trained on them, such as ``irm`` or ``group_dro``.

    Source: Creager et al., "Environment Inference for Invariant Learning", ICML 2021; reference
    code ecreager/eiil. ``groups.csv`` has the environments.

    Args:
        reference: what the first stage changes of the run's config, such as ``{epochs: 1}``.
        steps: of the inference.
        learning_rate: of the inference.

    Raises:
        ValueError: a number that is not positive.

    Differs from the reference: a strategy's groups are class and environment together; SpuCo's
    Group DRO takes the two environments alone.
    """

    infers = ("train",)

    def __init__(
        self,
        *,
        reference: dict[str, Any] | None = None,
        steps: int = 10000,
        learning_rate: float = 1e-3,
    ) -> None:
        if steps < 1 or learning_rate <= 0:
            raise InputError(
                f"EIIL needs recipe.steps >= 1 and learning_rate > 0; got {steps} and "
                f"{learning_rate}"
            )
        self.reference, self.steps, self.learning_rate = reference, steps, learning_rate

    def stages(self, run: Run) -> list[Config]:
        """The reference, and the last stage but for what reads the environments."""
        return [run.stage_config(self.reference), run.stage_config()]

    def train(self, run: Run) -> Trained:
        """Train the reference, infer, train."""
        reference = run.train_stage("reference", run.stage_config(self.reference))
        found = reference.predictions("train")
        generator = seeded_generator(run.config.seed)
        weights = environment_weights(
            found.logits,
            found.target,
            generator,
            steps=self.steps,
            learning_rate=self.learning_rate,
        )
        inferred = reference.everywhere(found.index, weights > 0.5)
        return run.train_last(partition=run.infer(inferred, reference.examples))
