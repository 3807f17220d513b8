"""Which spatial frequencies a model reads: accuracy on low-passed and high-passed images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Tally
from debias.metrics.accuracy.scalars import accuracy

#: Cutoffs of Gavrikov & Keuper.
CUTOFFS = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)


def low_pass(images: Tensor, *, cutoff: float) -> Tensor:
    """Images without their high frequencies: a square window of the centred spectrum is kept.

    Source: Gavrikov and Keuper, "Can Biases in ImageNet Models Explain Generalization?", CVPR 2024;
    reference code paulgavrikov/biases_vs_generalization.

    Args:
        images: ``(N, C, H, W)`` float in [0, 1], not normalised.
        cutoff: in [0, 1], share of the spectrum's width that is kept.

    Returns:
        Images of the same shape and dtype, clipped to [0, 1]; ``cutoff`` 1 leaves those of even
        sides as they were.
    """
    return filtered(images, square_window(images.shape[-2], images.shape[-1], cutoff=cutoff))


def high_pass(images: Tensor, *, cutoff: float) -> Tensor:
    """Images without low frequencies: a window of ``1 - cutoff`` is cut out; see ``low_pass``."""
    return filtered(images, ~square_window(images.shape[-2], images.shape[-1], cutoff=1 - cutoff))


def filtered(images: Tensor, window: Tensor) -> Tensor:
    """Images of which only part of the spectrum is kept, clipped to [0, 1].

    Args:
        images: ``(N, C, H, W)`` float in [0, 1].
        window: ``(H, W)`` bool or float, what is kept, zero frequency in the middle (at
            ``(H // 2, W // 2)``).
    """
    precise = images if images.dtype in (torch.float32, torch.float64) else images.float()
    spectrum = torch.fft.fft2(precise) * torch.fft.ifftshift(window.to(precise))
    kept: Tensor = torch.fft.ifft2(spectrum).real.clamp(0, 1).to(images.dtype)
    return kept


def square_window(height: int, width: int, *, cutoff: float) -> Tensor:
    """``(H, W)`` bool: frequencies in [-r, r) down and across, with r = int(cutoff * side / 2)."""
    rows, columns = (torch.arange(side) - side // 2 for side in (height, width))
    inside = [
        (-r <= axis) & (axis < r)
        for axis, r in ((rows, int(cutoff * height / 2)), (columns, int(cutoff * width / 2)))
    ]
    return inside[0][:, None] & inside[1]


def curve_area(accuracies: Tensor, cutoffs: Tensor) -> Tensor:
    """Mean height of the accuracy curve between its ends, by the trapezoidal rule.

    Args:
        accuracies: ``(F,)`` in [0, 1].
        cutoffs: ``(F,)`` ascending.

    Returns:
        Scalar float64 in [0, 1], 1 for a model that any part of the spectrum is enough for; NaN
        where an accuracy is.
    """
    heights, places = accuracies.double(), cutoffs.double()
    return torch.trapezoid(heights, places) / (places[-1] - places[0])


def half_accuracy_cutoff(accuracies: Tensor, cutoffs: Tensor, clean: Tensor) -> Tensor:
    """The first cutoff at which the model reaches half of its accuracy on untouched images, between
    two by a line.

    Args:
        accuracies: ``(F,)`` in [0, 1].
        cutoffs: ``(F,)`` ascending.
        clean: scalar, accuracy on untouched images.

    Returns:
        Scalar float64 cutoff, the first one if that is enough already, NaN if none is.
    """
    heights, places, half = accuracies.double(), cutoffs.double(), clean.double() / 2
    reached = (heights >= half).nonzero()
    if not len(reached):
        return torch.tensor(torch.nan, dtype=torch.float64)
    at = int(reached[0])
    if at == 0:
        return places[0]
    share = (half - heights[at - 1]) / (heights[at] - heights[at - 1])
    return places[at - 1] + share * (places[at] - places[at - 1])


def band_pass_scalars(tally: Tally, cutoffs: Sequence[float]) -> dict[str, Tensor]:
    """Accuracy over the cutoffs, and the curve in two numbers.

    Args:
        tally: two ``(F + 1,)`` int64 tensors, right and total at each cutoff, untouched images
            last.
        cutoffs: ascending, at least two.

    Returns:
        float64 scalars ``accuracy/CUTOFF``, ``accuracy/clean``, ``area`` (:func:`curve_area`) and
        ``half_cutoff`` (:func:`half_accuracy_cutoff`): the area and the cutoff are the project's
        way to sum up the curve, the papers show it. NaN where nothing was observed.
    """
    accuracies, places = accuracy(*tally), torch.tensor(cutoffs, dtype=torch.float64)
    return {
        **{
            f"accuracy/{cutoff:g}": value
            for cutoff, value in zip(cutoffs, accuracies[:-1], strict=True)
        },
        "accuracy/clean": accuracies[-1],
        "area": curve_area(accuracies[:-1], places),
        "half_cutoff": half_accuracy_cutoff(accuracies[:-1], places, accuracies[-1]),
    }
