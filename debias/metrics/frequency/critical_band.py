"""The channel of frequencies that a model recognises objects by, from noise in bands."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.descriptions import Description

#: Centre of the lowest band, in cycles per image; each next band is an octave higher.
LOWEST = 1.75
BANDS = 7
NOISE_DEVIATIONS = (0.0, 0.02, 0.04, 0.08, 0.16)
GREY_WEIGHTS = (0.299, 0.587, 0.114)


class Channel(NamedTuple):
    """A Gaussian over the bands: three float64 scalars, NaN where no band was ever disturbed.

    Attributes:
        amplitude: its height, in steps of noise, in [0, noise levels].
        centre: its place, in bands from the lowest.
        width: its standard deviation, in octaves.
    """

    amplitude: Tensor
    centre: Tensor
    width: Tensor


def low_contrast(images: Tensor, *, contrast: float = 0.2, mean: float = 0.449) -> Tensor:
    """``(N, 1, H, W)`` grey images of one mean and less contrast, out of images in [0, 1]."""
    weights = torch.tensor(GREY_WEIGHTS, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    grey = (images * weights).sum(dim=1, keepdim=True)
    return (grey - grey.mean(dim=(2, 3), keepdim=True)) * contrast + mean


def band_noise(
    images: Tensor, *, band: int, deviation: float, generator: torch.Generator
) -> Tensor:
    r"""Images with Gaussian noise of one octave around :math:`1.75 \cdot 2^i` cycles per image,
    clipped to [0, 1].

    Source: Subramanian et al., "Spatial-frequency channels, shape bias, and adversarial
    robustness", NeurIPS 2023; reference code ajaysub110/critical-band-masking.

    Args:
        images: ``(N, C, H, W)`` float in [0, 1], as :func:`low_contrast` makes them; all channels
            get the same noise.
        band: i, in [0, 7) for images of 224 pixels.
        deviation: standard deviation of the noise of each image, exactly.
        generator: source of randomness, on the CPU.

    Raises:
        ValueError: images of this size have no such frequency.

    Differs from the reference: the octave is cut out of the spectrum, there it is a level of a
    Laplacian pyramid, as strong as the finest level; and what leaves [0, 1] is clipped, there it is
    drawn again.
    """
    height, width = images.shape[-2:]
    rows, columns = (torch.fft.fftfreq(side, d=1 / side) for side in (height, width))
    cycles, centre = torch.hypot(rows[:, None], columns), LOWEST * 2**band
    window = (cycles >= centre / math.sqrt(2)) & (cycles < centre * math.sqrt(2))
    if not bool(window.any()):
        raise InputError(
            f"{height} x {width} images hold no frequency of band {band} ({centre:g} cycles per "
            "image)"
        )
    white = torch.randn(len(images), 1, height, width, generator=generator)
    noise = torch.fft.ifft2(torch.fft.fft2(white) * window).real
    noise = noise * deviation / noise.square().mean(dim=(2, 3), keepdim=True).sqrt()
    noisy: Tensor = (images + noise.to(images)).clamp(0, 1)
    return noisy


def noise_thresholds(accuracies: Tensor, *, criterion: float = 0.5) -> Tensor:
    """How many steps of noise, from the strongest down, are too much for the model, band by band.

    Args:
        accuracies: ``(S, F)``: a row per standard deviation, ascending from 0, a column per band.
        criterion: at most this accuracy, in the same unit, is a failure.

    Returns:
        ``(F,)`` float64 in [0, S - 1]: S - 1 if only images without noise are recognised, or not
        even these; NaN where an accuracy of the band is.

    Source: Subramanian et al., NeurIPS 2023.
    """
    failed = (accuracies.flip(0) <= criterion).long().cumprod(dim=0).sum(dim=0)
    steps = failed.clamp(max=len(accuracies) - 1).double()
    return torch.where(accuracies.isnan().any(dim=0), torch.nan, steps)


def fit_channel(thresholds: Tensor, *, levels: int = 4) -> Channel:
    r"""The Gaussian :math:`A \exp(-(x - \mu)^2 / 2 s^2)` of least squares through the thresholds, A
    in [0, levels].

    Source: Subramanian et al., NeurIPS 2023.

    Args:
        thresholds: ``(F,)`` as :func:`noise_thresholds` returns them; NaN are left out.
        levels: greatest threshold there can be.

    Returns:
        NaN if fewer than three thresholds are defined, all are 0, or no fit was found.

    Differs from the reference: the width is never negative; the fit starts at the greatest
    threshold.
    """
    import numpy as np
    from scipy.optimize import least_squares

    thresholds = thresholds.cpu()
    known = ~thresholds.isnan()
    heights, places = thresholds[known].double().numpy(), known.nonzero().flatten().double().numpy()
    if len(heights) < 3 or not heights.any():
        return Channel(*torch.full((3,), torch.nan, dtype=torch.float64))

    def misfit(guess: Any) -> Any:
        """By how much the Gaussian of a guess misses each height."""
        amplitude, centre, width = guess
        return amplitude * np.exp(-((places - centre) ** 2) / (2 * width**2)) - heights

    start = (min(np.max(heights), levels - 1e-3), places[np.argmax(heights)], 1.0)
    fit = least_squares(misfit, start, bounds=((0, -np.inf, -np.inf), (levels, np.inf, np.inf)))
    found = torch.from_numpy(fit.x if fit.success else np.full(3, np.nan))
    return Channel(found[0], found[1], found[2].abs())


def channel_scalars(accuracies: Tensor, *, criterion: float = 0.5) -> dict[str, Tensor]:
    r"""Bandwidth, centre and depth of the channel that a model recognises objects by.

    .. math:: \mathrm{BW} = 2 \sqrt{\ln 4}\, s, \qquad \mathrm{CF} = 1.75 \cdot 2^{\mu}, \qquad
              \mathrm{PNS} = 2^{A - \text{levels}}

    Source: Subramanian et al., NeurIPS 2023.

    Args:
        accuracies, criterion: as in :func:`noise_thresholds`.

    Returns:
        float64 scalars ``bandwidth`` in octaves (people: about 1, a ResNet-50: 4),
        ``centre_frequency`` in cycles per image (about 30 for people), ``peak_noise_sensitivity``
        in (0, 1]; NaN as in :func:`fit_channel`.
    """
    levels = len(accuracies) - 1
    channel = fit_channel(noise_thresholds(accuracies, criterion=criterion), levels=levels)
    return {
        "bandwidth": 2 * math.sqrt(math.log(4)) * channel.width,
        "centre_frequency": LOWEST * 2**channel.centre,
        "peak_noise_sensitivity": 2 ** (channel.amplitude - levels),
    }


DESCRIPTIONS = {
    "bandwidth": Description(
        "Bandwidth of the channel",
        "Octaves of spatial frequency that recognition hangs on; people need one.",
        1.0,
        "lower",
    ),
    "centre_frequency": Description(
        "Centre of the channel",
        "Cycles per image that recognition hangs on most; about 30 for people.",
        30.0,
        "lower",
    ),
    "peak_noise_sensitivity": Description(
        "Peak noise sensitivity",
        "How little noise in the most sensitive band is too much.",
        0.0,
        "lower",
    ),
}
