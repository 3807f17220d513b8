"""Automatic feature reweighting: last-layer retraining with weights from the old predictions."""

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from debias.errors import InputError, check_at_least, check_positive
from debias.heads.refits import focal_heads
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer
from debias.runs.choice import HeadChoice

#: The grids of the AFR authors for Waterbirds.
GAMMAS = tuple(4 + 0.5 * step for step in range(33))
PENALTIES = (0.0, 0.1, 0.2, 0.3)


@dataclass(kw_only=True)
class AFR(LastLayer):
    """Refit the last layer with larger weights for low predicted probabilities of the true class.

    The backbone is trained on a share of the training split, and the head is refitted on the rest.
    Gamma, the penalty and the step are chosen on the validation split. See
    :func:`debias.heads.refits.focal_heads`.

    Args:
        gammas: values of gamma to try. The default is the authors' grid for Waterbirds.
        penalties: values to try of the penalty on the distance from the old head.
        steps: number of full-batch gradient steps.
        learning_rate: learning rate of these steps.
        share: share of the training split on which the backbone is trained, in (0, 1).
        backbone: "trained", "pretrained", or the folder of a finished run (which was trained on the
            whole split).
        base: changes to the run's config for the stage that trains the backbone.

    Raises:
        ValueError: ``share`` is not in (0, 1), ``steps`` is below 1, ``learning_rate`` is not
            positive, or ``gammas`` or ``penalties`` is empty or has a negative value.
    """

    gammas: tuple[float, ...] = GAMMAS
    penalties: tuple[float, ...] = PENALTIES
    steps: int = 500
    learning_rate: float = 0.01
    share: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(
                f"recipe.share must lie in (0, 1), to leave rows for the head; got {self.share}"
            )
        check_at_least(1, {"recipe.steps": self.steps})
        check_positive({"recipe.learning_rate": self.learning_rate})
        if not (self.gammas and self.penalties) or min(*self.gammas, *self.penalties) < 0:
            raise InputError(
                "recipe.gammas and recipe.penalties must each hold at least one number, all >= 0; "
                f"got {self.gammas} and {self.penalties}"
            )

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """Return the head with the best worst-group (or worst-class) accuracy on validation."""
        rows = self.training_rows(frozen, held_out=True)
        pairs = list(itertools.product(self.gammas, self.penalties))
        grid, held_out = torch.tensor(pairs, dtype=torch.float32), frozen.rows("val")
        fitted = focal_heads(
            rows.features,
            rows.target,
            frozen.head,
            gamma=grid[:, 0],
            start_penalty=grid[:, 1],
            held_out=held_out,
            learning_rate=self.learning_rate,
            steps=self.steps,
        )
        tried = [
            {"gamma": gamma, "penalty": penalty, "step": step}
            for (gamma, penalty), step in zip(pairs, fitted.steps.tolist(), strict=True)
        ]
        judged = (held_out.group, frozen.grouped)
        self.choice = HeadChoice(tried, fitted.scores, fitted.best, "val", *judged)
        return fitted.heads.linear(fitted.best)
