"""Accuracy on filtered and on noisy images, counted in one process or in many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.accuracies import accuracy
from debias.metrics.accuracy.counts import Tally
from debias.metrics.exact_metrics import CellCounts
from debias.metrics.frequency.bands import CUTOFFS, band_pass_scalars
from debias.metrics.frequency.critical_band import BANDS, NOISE_DEVIATIONS, channel_scalars


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


class CriticalBand(CellCounts):
    """The channel that a model recognises objects by, see ``channel_scalars``; needs SciPy.

    Args:
        deviations: standard deviations of the noise, ascending from 0.
        bands: how many bands.
    """

    def __init__(
        self, deviations: Sequence[float] = NOISE_DEVIATIONS, *, bands: int = BANDS
    ) -> None:
        super().__init__(len(deviations) * bands, partial(_channel, bands=bands))
        self.deviations, self.bands = tuple(deviations), bands

    def update(self, prediction: Tensor, target: Tensor, deviation: float, band: int) -> None:  # type: ignore[override]
        """Add ``(N,)`` integer predictions and targets of images with noise in one band.

        Raises:
            ValueError: there is no such noise.
        """
        if deviation not in self.deviations or not 0 <= band < self.bands:
            raise InputError(
                f"noise {deviation} in band {band} is not among {self.deviations} x {self.bands} "
                "bands"
            )
        cell = self.deviations.index(deviation) * self.bands + band
        super().update(prediction == target, torch.full_like(target, cell, dtype=torch.long))


def _channel(tally: Tally, *, bands: int) -> dict[str, Tensor]:
    return channel_scalars(accuracy(*tally).view(-1, bands))
