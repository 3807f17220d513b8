"""Classifier retraining: a last layer fitted on balanced minibatches."""

from dataclasses import dataclass

from torch import nn

from debias.data.orders import seeded_generator
from debias.errors import check_at_least, check_one_of, check_positive
from debias.heads.refits import balanced_heads
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer
from debias.runs.choice import HeadChoice


@dataclass(kw_only=True)
class CRT(LastLayer):
    """Refit the last layer on balanced draws, with frozen features (classifier retraining).

    See :func:`debias.heads.refits.balanced_heads`.

    Args:
        balance: "group", which needs the bias labels of the training split, or "class".
        weighted: use balanced loss weights (ReWeightCRT) instead of balanced minibatches (CRT).
        steps: number of minibatch steps. The best step is chosen on the validation split, from
            about a hundred evenly spaced ones.
        learning_rate: learning rate of SGD.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``balance`` is neither "group" nor "class", ``steps`` is below 1, or
            ``learning_rate`` is not positive.
    """

    balance: str = "group"
    weighted: bool = False
    steps: int = 5001
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_one_of(("group", "class"), {"recipe.balance": self.balance})
        check_at_least(1, {"recipe.steps": self.steps})
        check_positive({"recipe.learning_rate": self.learning_rate})
        self.reads = ("train",) if self.balance == "group" else ()

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """Return the head after the best step, by the worst group (or class) of validation."""
        rows = frozen.labelled("train") if self.balance == "group" else frozen.rows("train")
        generator, held_out = seeded_generator(seed), frozen.rows("val")
        fitted = balanced_heads(
            rows.features,
            rows.target,
            rows.group if self.balance == "group" else rows.target,
            frozen.fresh_head(generator),
            generator,
            steps=self.steps,
            weighted=self.weighted,
            held_out=held_out,
            every=max(self.steps // 100, 1),
            learning_rate=self.learning_rate,
        )
        grid = [{"step": int(fitted.steps[0])}]
        self.choice = HeadChoice(grid, fitted.scores, 0, "val", held_out.group, frozen.grouped)
        return fitted.heads.linear(0)
