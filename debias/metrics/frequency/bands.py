"""Which spatial frequencies a model uses: accuracy on low-passed and high-passed images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Tally
from debias.metrics.accuracy.scalars import accuracy

#: The cutoffs of Gavrikov and Keuper, CVPR 2024.
CUTOFFS = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)


def low_pass(images: Tensor, *, cutoff: float) -> Tensor:
    """Remove the high frequencies of images: keep a square window in the middle of the spectrum.

    Source: Gavrikov and Keuper, "Can Biases in ImageNet Models Explain Generalization?", CVPR 2024;
    reference code paulgavrikov/biases_vs_generalization.

    Args:
        images: ``(N, C, H, W)`` float in [0, 1], not normalised.
        cutoff: in [0, 1], share of the spectrum's width (and height) that is kept.

    Returns:
        Images of the same shape and dtype, clipped to [0, 1]. With ``cutoff`` 1, images with an
        even height and width do not change.
    """
    return filtered(images, square_window(images.shape[-2], images.shape[-1], cutoff=cutoff))


def high_pass(images: Tensor, *, cutoff: float) -> Tensor:
    """Remove the low frequencies of images: all that ``low_pass`` keeps at ``1 - cutoff``."""
    return filtered(images, ~square_window(images.shape[-2], images.shape[-1], cutoff=1 - cutoff))


def filtered(images: Tensor, window: Tensor) -> Tensor:
    """Keep only part of the spectrum of images; the result is clipped to [0, 1].

    Args:
        images: ``(N, C, H, W)`` float in [0, 1].
        window: ``(H, W)`` bool or float, 1 for a frequency that is kept. The zero frequency is in
            the middle, at ``(H // 2, W // 2)``.
    """
    precise = images if images.dtype in (torch.float32, torch.float64) else images.float()
    spectrum = torch.fft.fft2(precise) * torch.fft.ifftshift(window.to(precise))
    result: Tensor = torch.fft.ifft2(spectrum).real.clamp(0, 1).to(images.dtype)
    return result


def square_window(height: int, width: int, *, cutoff: float) -> Tensor:
    """``(H, W)`` bool, true for frequencies in [-r, r) on both axes; r = int(cutoff * side / 2)."""
    rows, columns = (torch.arange(side) - side // 2 for side in (height, width))
    inside = [
        (-r <= axis) & (axis < r)
        for axis, r in ((rows, int(cutoff * height / 2)), (columns, int(cutoff * width / 2)))
    ]
    return inside[0][:, None] & inside[1]


def curve_area(accuracies: Tensor, cutoffs: Tensor) -> Tensor:
    """Mean of the accuracy over the range of cutoffs, by the trapezoidal rule.

    Args:
        accuracies: ``(F,)`` in [0, 1].
        cutoffs: ``(F,)`` ascending.

    Returns:
        Scalar float64 in [0, 1]; 1 if the model is always right at every cutoff. NaN if an accuracy
        is NaN.
    """
    heights, places = accuracies.double(), cutoffs.double()
    return torch.trapezoid(heights, places) / (places[-1] - places[0])


def half_accuracy_cutoff(accuracies: Tensor, cutoffs: Tensor, clean: Tensor) -> Tensor:
    """The first cutoff at which accuracy reaches half of that on unfiltered images.

    Between two cutoffs, the curve is interpolated linearly.

    Args:
        accuracies: ``(F,)`` in [0, 1].
        cutoffs: ``(F,)`` ascending.
        clean: scalar, accuracy on unfiltered images.

    Returns:
        Scalar float64. It is the first cutoff if the accuracy is high enough there already, and NaN
        if it never is.
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
    """Accuracy at each cutoff of one filter, and two numbers that summarise the curve.

    Args:
        tally: two ``(F + 1,)`` int64 tensors, right and total at each cutoff; the last entry is for
            unfiltered images.
        cutoffs: ascending, at least two.

    Returns:
        float64 scalars ``accuracy/CUTOFF``, ``accuracy/clean``, ``area`` (:func:`curve_area`) and
        ``half_cutoff`` (:func:`half_accuracy_cutoff`). Area and half cutoff are summaries by
        debias; the papers show the curve. NaN where no image was counted.
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
