"""Cues, backgrounds and shortcuts that a model relies on, counted in one process or in many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Tally
from debias.metrics.exact_metrics import CellCounts
from debias.metrics.shortcuts.cues import (
    CueConflicts,
    conflict_scalars,
    cue_cells,
    cue_scalars,
    error_consistency,
)
from debias.metrics.shortcuts.preferences import (
    challenge_accuracy,
    shortcut_cells,
    shortcut_scalars,
    variant_scalars,
)


class ShapeBias(CellCounts):
    """Shape bias on cue-conflict images, as ``conflict_scalars`` defines it.

    Example:
        >>> metric = ShapeBias()
        >>> prediction, shape, texture = torch.tensor([[0, 0, 1, 2], [0, 0, 0, 0], [1, 1, 1, 1]])
        >>> metric.update(prediction, shape, texture)  # 2 by shape, 1 by texture, 1 by neither
        >>> round(metric.compute()["shape_bias"].item(), 4)
        0.6667
    """

    def __init__(self) -> None:
        super().__init__(4, _shape_scalars)

    def update(self, response: Tensor, shape: Tensor, texture: Tensor) -> None:  # type: ignore[override]
        """Add ``(N,)`` integer answers and the classes of shape and texture, -1 where unknown."""
        agree = torch.where((shape < 0) | (texture < 0), -1, (shape == texture).long())
        super().update(response == shape, agree)
        super().update(response == texture, torch.where(agree < 0, -1, agree + 2))


class ErrorConsistencyScore(CellCounts):
    """Error consistency of two observers, as ``error_consistency`` defines it."""

    def __init__(self) -> None:
        super().__init__(2, _consistency_scalars)

    def update(self, first: Tensor, second: Tensor) -> None:
        """Add ``(N,)`` bool: where the first and the second observer are right."""
        super().update(second, first.long())


class CuePreference(CellCounts):
    """Which of several cues a model follows where they disagree, as ``cue_scalars`` defines it.

    Args:
        names: of the cues.
        labels: how many values each cue has, as many as there are answers.
    """

    def __init__(self, names: Sequence[str], *, labels: int) -> None:
        super().__init__(
            len(names) * labels, partial(_cue_scalars, names=tuple(names), labels=labels)
        )
        self.names, self.labels = tuple(names), labels

    def update(self, response: Tensor, cues: Tensor) -> None:
        """Add ``(N,)`` answers and the ``(N, K)`` int64 values of the cues, -1 where unknown."""
        super().update(response[:, None] == cues, cue_cells(cues, labels=self.labels))


class VariantAccuracy(CellCounts):
    """Accuracy on each variant of the images, as in ``variant_scalars``: ImageNet-9 or other.

    Args:
        names: of the variants; "mixed_same" and "mixed_rand" give the background gap.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(len(names), partial(variant_scalars, names=tuple(names)))
        self.names = tuple(names)

    def update(self, prediction: Tensor, target: Tensor, variant: str) -> None:  # type: ignore[override]
        """Add one batch of one variant: ``(N,)`` integer predictions, -1 for no class, and targets.

        Raises:
            ValueError: there is no such variant.
        """
        if variant not in self.names:
            raise InputError(f"no variant {variant!r}; there are {', '.join(self.names)}")
        super().update(
            prediction == target,
            torch.full_like(target, self.names.index(variant), dtype=torch.long),
        )


class BackgroundChallenge(CellCounts):
    """Share of foregrounds about which no background fools a model; see ``challenge_accuracy``.

    Args:
        foregrounds: how many there are.
    """

    higher_is_better = True

    def __init__(self, foregrounds: int) -> None:
        super().__init__(foregrounds, _challenge_scalars)


class ShortcutGaps(CellCounts):
    """The cost of each shortcut, and set of them, when it misleads; see ``shortcut_scalars``.

    Args:
        names: of the K shortcuts.
        train_frequencies: ``(2,) * K`` training images by which shortcuts mislead.
    """

    def __init__(self, names: Sequence[str], *, train_frequencies: Tensor) -> None:
        super().__init__(
            2 ** len(names),
            partial(
                _shortcut_scalars, names=tuple(names), train_frequencies=train_frequencies.cpu()
            ),
        )

    def update(self, correct: Tensor, conflicting: Tensor) -> None:
        """Add ``(N,)`` bool, right or not, and ``(N, K)``: 1 misleads, 0 not, -1 unknown."""
        super().update(correct, shortcut_cells(conflicting))


def _shape_scalars(tally: Tally) -> dict[str, Tensor]:
    right, total = tally
    return conflict_scalars(CueConflicts(right[0], right[2], total[0], total[:2].sum()))


def _consistency_scalars(tally: Tally) -> dict[str, Tensor]:
    right, total = tally
    found = error_consistency(torch.stack((total - right, right), dim=1))
    return {
        "error_consistency": found.kappa,
        "observed_consistency": found.observed,
        "expected_consistency": found.expected,
    }


def _cue_scalars(tally: Tally, *, names: Sequence[str], labels: int) -> dict[str, Tensor]:
    return cue_scalars(Tally(*(part.view(-1, labels) for part in tally)), names)


def _challenge_scalars(tally: Tally) -> dict[str, Tensor]:
    return {"challenge_accuracy": challenge_accuracy(tally)}


def _shortcut_scalars(
    tally: Tally, *, names: Sequence[str], train_frequencies: Tensor
) -> dict[str, Tensor]:
    table = Tally(*(part.view((2,) * len(names)) for part in tally))
    return shortcut_scalars(table, train_frequencies, names)
