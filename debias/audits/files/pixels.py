"""Plain numbers of a picture: light, colour, sharpness, complexity, frames and traces of saving."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.picture_numbers import vector_lengths

Pixels = NDArray[np.uint8]
Grey = NDArray[np.uint8]
#: Scales and weights of MSG and MUC.
SCALES, WEIGHTS = (1, 2, 4, 8), (0.4, 0.3, 0.2, 0.1)
#: Width of the border that is compared with the rest, as a share of the shorter side.
BORDER = 0.04
#: Side of the central part that traces are looked for in. It is a multiple of JPEG's blocks.
DETAIL = 192
#: Squares of the values of a channel; weights of brightness; red-green and yellow-blue.
_SQUARES = (np.arange(256, dtype=np.float32) / 255) ** 2
_BRIGHTNESS = np.array([[0.241, 0.691, 0.068]], np.float32)
_OPPONENTS = np.array([[1, -1, 0], [0.5, 0.5, -1]], np.float32)
#: Pixels whose brightest channel is at most this are black; whose darkest is at least 255 minus
#: this are white.
NEARLY = 3


def light_and_colour(pixels: Pixels) -> dict[str, float]:
    r"""Numbers that hardly change when a picture is resized.

    Brightness of a pixel is :math:`\sqrt{.241 R^2 + .691 G^2 + .068 B^2}`, and colourfulness
    :math:`\sqrt{\sigma_{rg}^2 + \sigma_{yb}^2} + 0.3 \sqrt{\mu_{rg}^2 + \mu_{yb}^2}` with
    :math:`rg = R - G` and :math:`yb = (R + G) / 2 - B`.

    Source: cleanvision (brightness and its percentiles); Hasler and Suesstrunk, "Measuring
    colourfulness in natural images", 2003.

    Args:
        pixels: ``(H, W, 3)`` uint8.
    """
    bright = cv2.sqrt(cv2.transform(cv2.LUT(pixels, _SQUARES), _BRIGHTNESS))
    (mean,), (contrast,) = (part.ravel() for part in cv2.meanStdDev(bright))
    opponents = cv2.transform(pixels.astype(np.float32) / 255, _OPPONENTS)
    centre, spread = (part.ravel() for part in cv2.meanStdDev(opponents))
    red, green, blue = (channel / 255 for channel in cv2.mean(pixels)[:3])
    planes = cv2.split(pixels)
    largest, smallest = (of(of(planes[0], planes[1]), planes[2]) for of in (cv2.max, cv2.min))
    return {
        "red": red,
        "green": green,
        "blue": blue,
        "brightness": float(mean),
        **_percentiles(bright),
        "contrast": float(contrast),
        "colourfulness": float(np.hypot(*spread) + 0.3 * np.hypot(*centre)),
        "saturation": cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))[1] / 255,
        "black pixels": float((largest <= NEARLY).mean()),
        "white pixels": float((smallest >= 255 - NEARLY).mean()),
    }


def _percentiles(bright: NDArray[np.float32]) -> dict[str, float]:
    """Percentiles of the brightness, to 1/255."""
    counts = np.bincount(np.rint(bright * 255).astype(np.uint8).ravel(), minlength=256)
    below = np.cumsum(counts) / bright.size
    names = {"1st": 0.01, "5th": 0.05, "95th": 0.95, "99th": 0.99}
    return {
        f"brightness, {name} percentile": float(np.searchsorted(below, share)) / 255
        for name, share in names.items()
    }


def layout(pixels: Pixels) -> dict[str, float]:
    """Border against the rest, symmetry, and entropy of the grey values in bits.

    Args:
        pixels: ``(H, W, 3)`` uint8.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    width = max(1, round(BORDER * min(grey.shape)))
    inside = np.zeros(grey.shape, bool)
    inside[width:-width, width:-width] = True
    border = grey[~inside] / 255
    shares = np.bincount(grey.ravel(), minlength=256) / grey.size
    shares = shares[shares > 0]
    centre = float(grey[inside].mean()) / 255 if inside.any() else 0.0
    return {
        "border brightness": float(border.mean()) - centre,
        "border variation": float(border.std()),
        "symmetry": 1 - float(cv2.absdiff(grey, grey[:, ::-1]).mean()) / 255,
        "entropy": float(-(shares * np.log2(shares)).sum()) + 0.0,
    }


def detail(pixels: Pixels) -> dict[str, float]:
    """Sharpness (variance of the Laplacian), share of edge pixels, and two complexities.

    Args:
        pixels: ``(H, W, 3)`` uint8.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return {
        "sharpness": float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        "edge density": edge_density(grey),
        "gradient (MSG)": gradient_complexity(pixels),
        "colours (MUC)": colour_complexity(pixels),
    }


def edge_density(grey: Grey) -> float:
    """Share of edge pixels: Canny after a 5x5 blur, thresholds 0.67 and 1.33 times the median."""
    smooth = cv2.GaussianBlur(grey, (5, 5), 0)
    median = float(np.median(smooth))
    return float((cv2.Canny(smooth, 0.67 * median, 1.33 * median) > 0).mean())


def gradient_complexity(pixels: Pixels) -> float:
    r"""Multi-scale Sobel gradient, MSG.

    .. math:: \sum_k w_k \operatorname{mean} \sqrt{S_x^2 + S_y^2}
              \quad\text{of the image resized by } 1/s_k,\; s = 1, 2, 4, 8

    Source: Mahncke et al., "Complexity in Complexity", 2025.

    Args:
        pixels: ``(H, W, 3)`` uint8; a mean over pixels and channels, which lie in [0, 1].
    """
    return _over_scales(pixels, _mean_gradient)


def colour_complexity(pixels: Pixels) -> float:
    r"""Multi-scale unique colours, MUC: their number with 5 bits per channel, averaged over scales.

    Source: as :func:`gradient_complexity`.
    """
    return _over_scales(pixels, _number_of_colours)


def _over_scales(pixels: Pixels, of: Callable[[Pixels], float]) -> float:
    height, width = pixels.shape[:2]
    total = 0.0
    for scale, weight in zip(SCALES, WEIGHTS, strict=True):
        size = max(1, width // scale), max(1, height // scale)
        small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        total += weight * of(small)
    return total


def _mean_gradient(pixels: Pixels) -> float:
    across = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, ksize=3)
    return float(vector_lengths(across, down).mean()) / 255


def _number_of_colours(pixels: Pixels) -> float:
    bits = (pixels >> 3).astype(np.int32)
    code = bits[..., 0] << 10 | bits[..., 1] << 5 | bits[..., 2]
    return float(np.count_nonzero(np.bincount(code.ravel(), minlength=2**15)))


def traces(pixels: Pixels) -> dict[str, float]:
    """Traces of saving: blocks of 8 pixels on the grid of JPEG and off it, and resampling.

    Args:
        pixels: ``(H, W, 3)`` uint8, cut from the file at a multiple of 8 pixels, never resized.

    Returns:
        The numbers; NaN if a side has fewer than 32 pixels.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if min(grey.shape) < 32:
        return dict.fromkeys(("blocks", "blocks off the grid", "resampling"), float("nan"))
    across = [_by_offset(axis) for axis in (grey, grey.T)]
    on, off = (float(np.mean([pair[i] for pair in across])) for i in range(2))
    peaks = float(np.mean([_resampling(axis) for axis in (grey, grey.T)]))
    return {"blocks": on, "blocks off the grid": off, "resampling": peaks}


def _by_offset(grey: NDArray[np.float32]) -> tuple[float, float]:
    """Step between neighbouring columns over the mean of all: on the grid of 8, and the largest off
    it.
    """
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    steps = steps[: len(steps) // 8 * 8].reshape(-1, 8).mean(axis=0)
    relative = steps / max(float(steps.mean()), 1e-6)
    return float(relative[7]), float(relative[:7].max())


def _resampling(grey: NDArray[np.float32]) -> float:
    """Largest periodic part of the second difference over the typical one.

    Interpolation makes the second difference of a row smaller at regular places.

    Source: Gallagher, "Detection of linear and cubic interpolation in JPEG compressed images",
    2005.
    """
    second = np.abs(np.diff(grey, n=2, axis=1)).mean(axis=0)
    spectrum = np.abs(np.fft.rfft(second - second.mean()))[len(second) // 8 :]
    return float(spectrum.max() / max(float(np.median(spectrum)), 1e-6))


def central_part(pixels: Pixels) -> Pixels:
    """The central part of at most ``DETAIL`` pixels per side, on the grid of JPEG's blocks."""
    starts = [max(0, (side - DETAIL) // 2) // 8 * 8 for side in pixels.shape[:2]]
    (top, left), (height, width) = starts, pixels.shape[:2]
    return np.ascontiguousarray(
        pixels[top : min(height, top + DETAIL), left : min(width, left + DETAIL)]
    )
