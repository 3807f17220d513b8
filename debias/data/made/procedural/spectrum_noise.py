"""Coloured noise, whose classes differ in how fast their spectrum falls."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import Examples
from debias.data.made.procedural.classes import ProceduralDesign

#: Range of the mean exponent of a spectrum, and standard deviation of half their difference.
EXPONENTS, APART = (0.5, 3.5), 0.05


def spectrum_noise(
    *,
    root: str = "data/spectrum_noise",
    spectra: int = 10,
    train: int = 5000,
    val: int = 500,
    test: int = 500,
    size: int = 64,
    seed: int = 0,
) -> Examples:
    r"""Coloured noise, one class per spectrum, for initial weights without any photo.

    .. math:: |F(f_x, f_y)| = \frac{1}{|f_x|^a + |f_y|^b}

    A class has the exponents :math:`a = s + d` and :math:`b = s - d`. The mean s of class k of K is
    uniform in the k-th of K equal parts of [0.5, 3.5], and d is normal with deviation 0.05. The
    phases are random.

    Source: Baradad et al., "Learning to See by Looking at Noise", NeurIPS 2021 (reference code
    mbaradad/learning_with_noise).

    Args:
        root: the folder below which the pictures are written.
        spectra: number of classes, at least 2.
        train: number of training pictures, at least ``spectra``.
        val: number of validation pictures, at least ``spectra``.
        test: number of test pictures, at least ``spectra``.
        size: side of the pictures in pixels, from 16 to 512.
        seed: seed of all draws. A picture depends on seed, split, row, ``spectra`` and ``size``.

    Returns:
        All splits. The target is the spectrum. No bias is known.

    Raises:
        ValueError: an option is out of range.

    Differs from the reference: it draws a new spectrum for each picture, and trains by contrast
    between views, without classes. Its colours are those of a random palette. Here a random matrix
    mixes three independent channels.
    """
    design = ProceduralDesign(spectra, train, val, test, size, seed)
    design.check("spectra")
    edges = np.linspace(*EXPONENTS, spectra + 1).tolist()
    exponents = [
        draw_exponents(part, design.class_rng(number))
        for number, part in enumerate(pairwise(edges))
    ]

    def draw(shown: list[int], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Noise of one spectrum."""
        return noise_picture(exponents[shown[0]], size, rng)

    return design.read(root, "spectrum_noise", "spectra", "spectrum", draw)


def draw_exponents(means: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """``(2,)`` exponents a and b of :func:`spectrum_noise`; their mean is uniform in ``means``."""
    mean, half = rng.uniform(*means), rng.normal(0, APART)
    return np.array([mean + half, mean - half])


def noise_picture(
    exponents: NDArray[np.float64], size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """``(size, size, 3)`` noise with the spectrum of :func:`spectrum_noise`, from 0 to 255.

    Args:
        exponents: a, of the columns, and b, of the rows.
        size: side of the picture in pixels.
        rng: draws the phases and the colours.
    """
    channels = shaped_noise(exponents, rng.standard_normal((3, size, size)))
    mixed = np.moveaxis(channels, 0, 2) @ rng.standard_normal((3, 3))
    least, most = mixed.min(), mixed.max()
    return np.asarray(np.rint(255 * (mixed - least) / (most - least)), np.uint8)


def shaped_noise(exponents: NDArray[np.float64], white: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(..., size, size)`` noise with the phases of white noise, and no mean.

    Args:
        exponents: a and b of :func:`spectrum_noise`.
        white: ``(..., size, size)`` white noise.
    """
    size = white.shape[-1]
    across, down = np.abs(np.fft.rfftfreq(size)), np.abs(np.fft.fftfreq(size))
    power = across ** exponents[0] + down[:, None] ** exponents[1]
    power[0, 0] = np.inf
    spectrum = np.fft.rfft2(white)
    shaped: NDArray[np.float64] = np.fft.irfft2(spectrum / np.abs(spectrum) / power, s=(size, size))
    return shaped
