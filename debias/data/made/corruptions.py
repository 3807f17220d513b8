"""The corruptions of CIFAR-10-C at the strengths for 32 x 32 pixels.

Libraries such as ``imagecorruptions`` have only the strengths for ImageNet, at which photos of 32
pixels can hardly be recognised (bethgelab/imagecorruptions#21).

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019 (reference code hendrycks/robustness, ``make_cifar_c.py``).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from debias.data.made.weather import blended_frost, fogged, motion_kernel, snowed, spattered

Pixels = NDArray[np.float32]
Random = np.random.Generator
#: Pixels again. NumPy and OpenCV do not say the type of all their results.
Changed = Any


class Corruption(NamedTuple):
    """A function of pixels in [0, 1], a strength and a generator, and its five strengths."""

    change: Callable[[Pixels, Any, Random], Changed]
    strengths: tuple[Any, ...]


def corrupted(name: str, image: NDArray[np.uint8], level: int, rng: Random) -> NDArray[np.uint8]:
    """An image ``(H, W, 3)`` with a corruption.

    Args:
        name: a key of ``CORRUPTIONS``.
        image: uint8 in red, green, blue.
        level: the strength, from 1 to 5.
        rng: generator of all draws.
    """
    corruption = CORRUPTIONS[name]
    pixels = (image / np.float32(255)).astype(np.float32)
    changed = corruption.change(pixels, corruption.strengths[level - 1], rng)
    # truncated as in the authors' code, but not below a whole number by an error of rounding
    result: NDArray[np.uint8] = (np.clip(changed, 0, 1) * 255 + 1e-3).astype(np.uint8)
    return result


def blurred(pixels: NDArray[Any], sigma: float) -> Changed:
    """Gaussian blur within each channel, with the edge pixels repeated outside."""
    sigmas = (sigma, sigma, 0)[: pixels.ndim]
    return ndimage.gaussian_filter(pixels, sigmas, mode="nearest")


def zoomed(pixels: NDArray[Any], factor: float) -> Changed:
    """The centre of a square image, enlarged to the size of the image."""
    side = pixels.shape[0]
    inner = int(np.ceil(side / factor))
    first = (side - inner) // 2
    factors = (factor, factor, 1)[: pixels.ndim]
    centre = pixels[first : first + inner, first : first + inner]
    large = ndimage.zoom(centre, factors, order=1)
    trim = (large.shape[0] - side) // 2
    return large[trim : trim + side, trim : trim + side]


def _gaussian_noise(pixels: Pixels, spread: float, rng: Random) -> Changed:
    return pixels + rng.normal(scale=spread, size=pixels.shape)


def _shot_noise(pixels: Pixels, photons: float, rng: Random) -> Changed:
    return rng.poisson(pixels * photons) / photons


def _impulse_noise(pixels: Pixels, amount: float, rng: Random) -> Changed:
    changed, salt = rng.random((2, *pixels.shape))
    return np.where(changed < amount, salt < 0.5, pixels)


def _speckle_noise(pixels: Pixels, spread: float, rng: Random) -> Changed:
    return pixels * (1 + rng.normal(scale=spread, size=pixels.shape))


def _gaussian_blur(pixels: Pixels, sigma: float, rng: Random) -> Changed:
    return blurred(pixels, sigma)


def _defocus_blur(pixels: Pixels, strength: tuple[float, float], rng: Random) -> Changed:
    radius, softness = strength
    across = np.arange(-8, 9)
    disk = (across**2 + across[:, None] ** 2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (3, 3), sigmaX=softness)
    return cv2.filter2D(pixels, -1, kernel)


def _glass_blur(pixels: Pixels, strength: tuple[float, int, int], rng: Random) -> Changed:
    sigma, reach, rounds = strength
    image = (blurred(pixels, sigma) * 255).astype(np.uint8)
    # a list of lists: to swap single pixels of an array takes ten times as long
    rows = [list(map(tuple, row)) for row in image.tolist()]
    places = range(len(image) - reach, reach, -1)
    moves = rng.integers(-reach, reach, (rounds, len(places), len(places), 2)).tolist()
    for one in moves:
        for row, line in zip(places, one, strict=True):
            for column, (right, down) in zip(places, line, strict=True):
                there = rows[row + down]
                rows[row][column], there[column + right] = there[column + right], rows[row][column]
    return blurred(np.array(rows) / 255, sigma)


def _motion_blur(pixels: Pixels, strength: tuple[int, float], rng: Random) -> Changed:
    kernel = motion_kernel(*strength, angle=rng.uniform(-45, 45))
    return cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def _zoom_blur(pixels: Pixels, most: float, rng: Random) -> Changed:
    factors = np.arange(1, most, 0.01)
    total = pixels + sum(zoomed(pixels, factor) for factor in factors)
    return total / (len(factors) + 1)


def _contrast(pixels: Pixels, factor: float, rng: Random) -> Changed:
    means = pixels.mean(axis=(0, 1))
    return (pixels - means) * factor + means


def _in_hsv(pixels: Pixels, channel: int, factor: float, shift: float) -> Changed:
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hsv[..., channel] = np.clip(hsv[..., channel] * factor + shift, 0, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _brightness(pixels: Pixels, shift: float, rng: Random) -> Changed:
    return _in_hsv(pixels, 2, 1, shift)


def _saturate(pixels: Pixels, strength: tuple[float, float], rng: Random) -> Changed:
    return _in_hsv(pixels, 1, *strength)


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.round(pixels * 255).astype(np.uint8))


def _jpeg(pixels: Pixels, quality: int, rng: Random) -> Changed:
    file = io.BytesIO()
    _picture(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / 255


def _pixelate(pixels: Pixels, factor: float, rng: Random) -> Changed:
    side = int(len(pixels) * factor)
    small = _picture(pixels).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.resize(pixels.shape[1::-1], Image.Resampling.BOX)) / 255


def _elastic(pixels: Pixels, strength: tuple[float, float, float], rng: Random) -> Changed:
    distance, sigma, affine = (share * len(pixels) for share in strength)
    middle, third = len(pixels) // 2, len(pixels) // 3
    corners = np.array([[1, 1], [1, -1], [-1, -1]]) * third + middle
    moved = corners + rng.uniform(-affine, affine, corners.shape)
    turn = cv2.getAffineTransform(corners.astype(np.float32), moved.astype(np.float32))
    size = pixels.shape[1::-1]
    turned = cv2.warpAffine(pixels, turn, size, borderMode=cv2.BORDER_REFLECT_101)
    shifts = [
        distance * ndimage.gaussian_filter(field, sigma, mode="reflect", truncate=3)
        for field in rng.uniform(-1, 1, (2, *pixels.shape[:2]))
    ]
    rows, columns = np.indices(pixels.shape[:2]) + np.array(shifts)
    places = (rows, columns)
    channels = [
        ndimage.map_coordinates(one, places, order=1, mode="reflect")
        for one in np.moveaxis(turned, 2, 0)
    ]
    return np.stack(channels, axis=2)


def _original(pixels: Pixels, strength: None, rng: Random) -> Changed:
    return pixels


CORRUPTIONS = {
    "gaussian noise": Corruption(_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot noise": Corruption(_shot_noise, (500, 250, 100, 75, 50)),
    "impulse noise": Corruption(_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "speckle noise": Corruption(_speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2)),
    "gaussian blur": Corruption(_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "defocus blur": Corruption(
        _defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
    ),
    "glass blur": Corruption(
        _glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))
    ),
    "motion blur": Corruption(_motion_blur, ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))),
    "zoom blur": Corruption(_zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "snow": Corruption(
        snowed,
        (
            (0.1, 0.2, 1.0, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1.0, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost (drawn)": Corruption(
        blended_frost, ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
    ),
    "fog": Corruption(fogged, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1.0, 2), (1.5, 1.75))),
    "brightness": Corruption(_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": Corruption(_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "spatter": Corruption(
        spattered,
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, "water"),
            (0.65, 0.1, 0.8, 0.7, 0.5, "water"),
            (0.65, 0.3, 1.0, 0.69, 0.5, "water"),
            (0.65, 0.1, 0.7, 0.69, 0.6, "mud"),
            (0.65, 0.1, 0.5, 0.68, 0.6, "mud"),
        ),
    ),
    "elastic": Corruption(
        _elastic,
        ((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05),
         (0.1, 0.03, 0.03)),
    ),
    "jpeg": Corruption(_jpeg, (80, 65, 58, 50, 40)),
    "pixelate": Corruption(_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "saturate": Corruption(_saturate, ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))),
    "original": Corruption(_original, (None,) * 5),
}  # fmt: skip
