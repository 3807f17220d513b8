"""Snow, frost, fog and spatter on a photo, as in CIFAR-10-C; motion blur for falling snow."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.float32]
Random = np.random.Generator
#: Pixels again. NumPy and OpenCV do not say the type of all their results.
Changed = Any
#: Colours of spatter in red, green, blue.
WATER = np.array([175, 238, 238], np.float32) / 255
MUD = np.array([63, 42, 20], np.float32) / 255


def motion_kernel(radius: int, sigma: float, *, angle: float) -> NDArray[np.float32]:
    """Weights of a blur along a line to one side of a pixel, as that of ImageMagick.

    Args:
        radius: the line has ``2 * radius + 1`` pixels.
        sigma: standard deviation of the weights, which are those of a Gaussian from its centre on.
        angle: direction of the line in degrees.
    """
    length = 2 * radius + 1
    steps = np.arange(length)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    turned = np.deg2rad(angle)
    across = np.ceil(steps * np.cos(turned) - 0.5).astype(int)
    down = np.ceil(steps * np.sin(turned) - 0.5).astype(int)
    kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
    np.add.at(kernel, (length + down, length + across), weights / weights.sum())
    return kernel


def snowed(pixels: Pixels, strength: tuple[float, ...], rng: Random) -> Changed:
    """A brighter photo with streaks of snow, once as drawn and once turned by 180 degrees."""
    mean, spread, zoom, least, radius, sigma, kept = strength
    side = len(pixels)
    flakes = rng.normal(mean, spread, (side, side))
    inner = int(np.ceil(side / zoom))
    first = (side - inner) // 2
    flakes = ndimage.zoom(flakes[first : first + inner, first : first + inner], zoom, order=1)
    trim = (len(flakes) - side) // 2
    flakes = flakes[trim : trim + side, trim : trim + side]
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1).astype(np.float32)
    kernel = motion_kernel(int(radius), sigma, angle=rng.uniform(-135, -45))
    streaks = cv2.filter2D(flakes, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
    bright = kept * pixels + (1 - kept) * np.maximum(pixels, grey * 1.5 + 0.5)
    return bright + (streaks + np.rot90(streaks, 2))[..., None]


def blended_frost(pixels: Pixels, strength: tuple[float, float], rng: Random) -> Changed:
    """A photo under frost that is drawn here.

    The authors blend in one of six photos of frost, which may not be passed on. Here it is a height
    map of fine detail, whose ridges are white and whose valleys are a dark blue.
    """
    kept, frost = strength
    heights = plasma(len(pixels), 1.6, rng)
    ridges = 1 - np.abs(2 * heights - 1)
    valley, ridge = np.array([0.25, 0.35, 0.5]), np.array([0.95, 0.98, 1.0])
    return kept * pixels + frost * (valley + (ridge - valley) * ridges[..., None])


def fogged(pixels: Pixels, strength: tuple[float, float], rng: Random) -> Changed:
    """A photo with clouds of fog, darkened so that the brightest pixel does not change much."""
    density, decay = strength
    most = pixels.max()
    clouds = plasma(len(pixels), decay, rng)[..., None]
    return (pixels + density * clouds) * most / (most + density)


def plasma(side: int, decay: float, rng: Random) -> Changed:
    """``(side, side)`` heights in [0, 1] by the diamond-square algorithm, which repeat outside.

    Args:
        side: height and width. The next power of two is drawn, and cut.
        decay: the roughness of one scale, divided by that of the next smaller one.
        rng: generator of the roughness.
    """
    whole = 1 << (side - 1).bit_length()
    heights = np.zeros((whole, whole))
    rough, step = 100.0, whole
    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        below, right = np.roll(corners, -1, 0), np.roll(corners, -1, 1)
        shape = corners.shape
        centres = (corners + below + right + np.roll(below, -1, 1)) / 4 + _rough(rough, shape, rng)
        upper = corners + right + centres + np.roll(centres, 1, 0)
        lefts = corners + below + centres + np.roll(centres, 1, 1)
        heights[half::step, half::step] = centres
        heights[::step, half::step] = upper / 4 + _rough(rough, shape, rng)
        heights[half::step, ::step] = lefts / 4 + _rough(rough, shape, rng)
        rough, step = rough / decay, half
    cut = heights[:side, :side] - heights.min()
    return cut / (np.ptp(heights) or 1)


def _rough(rough: float, shape: tuple[int, ...], rng: Random) -> Changed:
    # the square is in the authors' code
    return rough * rng.uniform(-rough, rough, shape)


def spattered(pixels: Pixels, strength: tuple[Any, ...], rng: Random) -> Changed:
    """A photo with drops of water or mud."""
    mean, spread, sigma, least, last, kind = strength
    drops = ndimage.gaussian_filter(
        rng.normal(mean, spread, pixels.shape[:2]), sigma, mode="nearest"
    )
    drops[drops < least] = 0
    if kind == "water":
        shine = _shine((drops * 255).astype(np.uint8))
        return pixels + last * shine[..., None] * WATER
    cover = ndimage.gaussian_filter((drops > least).astype(np.float32), last, mode="nearest")
    cover[cover < 0.8] = 0
    return pixels * (1 - cover[..., None]) + MUD * cover[..., None]


def _shine(drops: NDArray[np.uint8]) -> Changed:
    """``(H, W)`` in [0, 1]: how bright drops are, with a light from one corner."""
    distance = cv2.distanceTransform(255 - cv2.Canny(drops, 50, 150), cv2.DIST_L2, 5)
    flat = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
    relief = cv2.filter2D(cv2.equalizeHist(flat), cv2.CV_8U, emboss)
    light = drops * cv2.blur(relief, (3, 3)).astype(np.float64)
    return light / (light.max() or 1)
