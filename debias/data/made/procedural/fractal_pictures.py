"""Pictures of systems of affine maps: one fractal over the ground, or several small ones."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.data.made.procedural.affine_systems import Numbers, changed_system, fractal_points
from debias.data.made.procedural.spectrum_noise import EXPONENTS, draw_exponents, noise_picture

#: Points per pixel of a fractal: 100,000 for the 224 pixels of the paper.
POINTS = 2
#: Side of the window by the extent of the fractal, and its shift.
ZOOM, SHIFT = (0.5, 2.0), 0.2
#: Least saturation and brightness of a fractal, and standard deviation of the blur.
SATURATION, BRIGHTNESS, BLUR = 0.3, 0.5, (0.5, 1.0)
#: Side of each of several fractals by the side of the picture.
SIDES = (0.15, 0.6)


def fractal_picture(system: Numbers, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """``(size, size, 3)`` picture of one fractal.

    Args:
        system: ``(n, 2, 3)`` maps.
        size: side of the picture in pixels.
        rng: draws everything that differs between the pictures of a system.
    """
    points = fractal_points(changed_system(system, rng), POINTS * size**2, rng)
    density = _flipped(_stamped(_counts(points, size, rng), rng), rng)
    picture = noise_picture(draw_exponents(EXPONENTS, rng), size, rng)
    shown = density > 0
    picture[shown] = _coloured(density, rng)[shown]
    return _blurred(picture, rng)


def several_fractals(
    systems: Sequence[Numbers], size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """``(size, size, 3)`` picture of small fractals at random places, the later ones in front.

    The middle of each is inside the picture, and its border may be outside.

    Args:
        systems: ``(n, 2, 3)`` maps of each.
        size: side of the picture in pixels.
        rng: draws everything that differs between the pictures of the same systems.
    """
    picture = noise_picture(draw_exponents(EXPONENTS, rng), size, rng)
    for system in systems:
        side = int(rng.uniform(*SIDES) * size)
        points = fractal_points(system, POINTS * side**2, rng)
        density = _flipped(_stamped(_binned(points, side, window=1.0, shift=0.0), rng), rng)
        colours = _coloured(density, rng)
        down, across = rng.integers(-(side // 2), size - side // 2, 2)
        rows, columns = np.nonzero(density > 0)
        into, beside = rows + down, columns + across
        seen = (np.minimum(into, beside) >= 0) & (np.maximum(into, beside) < size)
        picture[into[seen], beside[seen]] = colours[rows[seen], columns[seen]]
    return _blurred(picture, rng)


def _counts(points: Numbers, size: int, rng: np.random.Generator) -> Numbers:
    """How many points are in each pixel of a random window."""
    shift = rng.uniform(-SHIFT, SHIFT, 2)
    return _binned(points, size, window=rng.uniform(*ZOOM, 2), shift=shift)


def _binned(
    points: Numbers, size: int, *, window: Numbers | float, shift: Numbers | float
) -> Numbers:
    """How many points are in each pixel of a window, measured by the extent of all points."""
    least, most = points.min(axis=0), points.max(axis=0)
    extent = np.maximum(most - least, 1e-6)
    centre = (least + most) / 2 + extent * shift
    pixels = np.floor(((points - centre) / (extent * window) + 0.5) * size)
    inside = pixels[((pixels >= 0) & (pixels < size)).all(axis=1)].astype(np.int64)
    counts = np.bincount(inside[:, 0] * size + inside[:, 1], minlength=size**2)
    return counts.reshape(size, size).astype(np.float64)


def _stamped(counts: Numbers, rng: np.random.Generator) -> Numbers:
    """Each point as some of the 3 x 3 pixels around it, scaled to at most 1."""
    stamp = rng.integers(2, size=(3, 3)).astype(np.float64)
    stamp[1, 1] = 1
    density = cv2.filter2D(counts, -1, stamp, borderType=cv2.BORDER_CONSTANT)
    scaled: Numbers = density / max(density.max(), 1)
    return scaled


def _flipped(density: Numbers, rng: np.random.Generator) -> Numbers:
    transposed, down, across = rng.random(3) < 0.5
    turned = density.T if transposed else density
    return turned[:: -1 if down else 1, :: -1 if across else 1]


def _coloured(density: Numbers, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The density as hue from a random one on, with one saturation and one brightness."""
    hue = (255 * (density + rng.random())) % 256
    saturation, brightness = 255 * rng.uniform((SATURATION, BRIGHTNESS), 1)
    colours = [hue, np.full_like(hue, saturation), np.full_like(hue, brightness)]
    picture = cv2.cvtColor(np.stack(colours, axis=2).astype(np.uint8), cv2.COLOR_HSV2RGB_FULL)
    return np.asarray(picture, np.uint8)


def _blurred(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture, half of the time with a blur."""
    deviation, blurred = rng.uniform(*BLUR), rng.random() < 0.5
    return cv2.GaussianBlur(picture, (3, 3), deviation).astype(np.uint8) if blurred else picture
