"""Accuracy on filtered images, counted in one process or in many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.exact_metrics import CellCounts
from debias.metrics.frequency.bands import CUTOFFS, band_pass_scalars


class BandPassAccuracy(CellCounts):
    """Accuracy over the cutoffs of a low- or high-pass filter, as in ``band_pass_scalars``.

    Args:
        cutoffs: ascending, in [0, 1].
    """

    def __init__(self, cutoffs: Sequence[float] = CUTOFFS) -> None:
        super().__init__(len(cutoffs) + 1, partial(band_pass_scalars, cutoffs=tuple(cutoffs)))
        self.cutoffs = tuple(cutoffs)

    def update(self, prediction: Tensor, target: Tensor, cutoff: float | None) -> None:  # type: ignore[override]
        """Add ``(N,)`` predictions and targets of filtered images; ``None`` for untouched ones.

        Raises:
            ValueError: it is not one of the cutoffs.
        """
        if cutoff is not None and cutoff not in self.cutoffs:
            raise InputError(f"cutoff {cutoff} is none of {self.cutoffs}")
        cell = len(self.cutoffs) if cutoff is None else self.cutoffs.index(cutoff)
        super().update(prediction == target, torch.full_like(target, cell, dtype=torch.long))
