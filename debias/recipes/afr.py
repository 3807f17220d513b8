"""Automatic feature reweighting: a last layer on what the model doubts."""

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from debias.errors import InputError, check_at_least
from debias.heads.refits import focal_heads
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer
from debias.runs.choice import HeadChoice

#: AFR's grids on Waterbirds.
GAMMAS = tuple(4 + 0.5 * step for step in range(33))
PENALTIES = (0.0, 0.1, 0.2, 0.3)


@dataclass(kw_only=True)
class AFR(LastLayer):
    """Refit the last layer with larger weights for samples that the model doubts.

    The backbone is trained on a share of the training split, the head refitted on the rest; gamma
    and the pull towards the old head are chosen on validation. See
    :func:`debias.heads.refits.focal_heads`.

    Args:
        gammas: to choose from; the default is the authors' grid for Waterbirds.
        penalties: of the pull towards the old head, to choose from.
        steps: of full-batch descent.
        learning_rate: of the descent.
        share: of the training split that the backbone sees, in (0, 1).
        backbone: "trained", "pretrained", or the folder of a finished run (which has seen all of
            the split).
        base: what the backbone's stage changes of the run's config.

    Raises:
        ValueError: the share or another number is out of range.
    """

    gammas: tuple[float, ...] = GAMMAS
    penalties: tuple[float, ...] = PENALTIES
    steps: int = 500
    learning_rate: float = 0.01
    share: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(
                "recipe.share must lie between 0 and 1, and leave rows for the head; got "
                f"{self.share}"
            )
        check_at_least(1, {"recipe.steps": self.steps})
        if not (self.gammas and self.penalties) or min(*self.gammas, *self.penalties) < 0:
            raise InputError(
                "recipe needs gammas and penalties >= 0 to choose from; got "
                f"{self.gammas} and {self.penalties}"
            )

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        """The best of all gammas, penalties and steps, by validation's worst group or class."""
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
