"""Classifier retraining: a last layer on balanced draws."""

from dataclasses import dataclass

from torch import nn

from debias.data.orders import seeded_generator
from debias.errors import check_at_least, check_one_of
from debias.heads.refits import balanced_heads
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer
from debias.runs.choice import HeadChoice


@dataclass(kw_only=True)
class CRT(LastLayer):
    """Refit the last layer on balanced draws, with frozen features (classifier retraining).

    See :func:`debias.heads.refits.balanced_heads`.

    Args:
        balance: "group", which needs the training split's labels, or "class".
        weighted: weigh the losses (ReWeightCRT) instead of drawing balanced minibatches (CRT).
        steps: of minibatch descent; the step is chosen on validation, a hundred times at most.
        learning_rate: of the descent.
        backbone: "trained", "pretrained", or the folder of a finished run.
        base: what the backbone's stage changes of the run's config.

    Raises:
        ValueError: an unknown balance, or no step.
    """

    balance: str = "group"
    weighted: bool = False
    steps: int = 5001
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_one_of(("group", "class"), {"recipe.balance": self.balance})
        check_at_least(1, {"recipe.steps": self.steps})
        self.reads = ("train",) if self.balance == "group" else ()

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The head at the step that does best on validation."""
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
        taken = [{"step": int(fitted.steps[0])}]
        self.choice = HeadChoice(taken, fitted.scores, 0, "val", held_out.group, frozen.grouped)
        return fitted.heads.linear(0)
