"""Drawn fractals, one class per system of affine maps."""

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.data.examples import Examples
from debias.data.made.procedural.affine_systems import (
    Numbers,
    changed_system,
    draw_system,
    fractal_points,
)
from debias.data.made.procedural.classes import ProceduralDesign
from debias.data.made.procedural.spectrum_noise import EXPONENTS, draw_exponents, noise_picture

#: Points per pixel of a picture: 100,000 for the 224 pixels of the paper.
POINTS = 2
#: Side of the window by the extent of the fractal, and its shift.
ZOOM, SHIFT = (0.5, 2.0), 0.2
#: Least saturation and brightness of a fractal, and standard deviation of the blur.
SATURATION, BRIGHTNESS, BLUR = 0.3, 0.5, (0.5, 1.0)


def fractals(
    *,
    root: str = "data/fractals",
    systems: int = 50,
    train: int = 5000,
    val: int = 500,
    test: int = 500,
    size: int = 64,
    seed: int = 0,
) -> Examples:
    """Coloured fractals on noise, one class per system, for initial weights without any photo.

    Pictures of a class differ in one map of the system, the window, the colours, reflections, the
    ground and a blur. See :func:`~debias.data.made.procedural.affine_systems.draw_system`.

    Source: Anderson and Farrell, "Improving Fractal Pre-training", WACV 2022 (reference code
    catalys1/fractal-pretraining). Published: 1,000 systems, and 1,000,000 pictures per epoch.

    Args:
        root: the folder below which the pictures are written.
        systems: number of classes, at least 2.
        train: number of training pictures, at least ``systems``.
        val: number of validation pictures, at least ``systems``.
        test: number of test pictures, at least ``systems``.
        size: side of the pictures in pixels, from 16 to 512.
        seed: seed of all draws. A picture depends on seed, split, row, ``systems`` and ``size``.

    Returns:
        All splits. The target is the system. No bias is known.

    Raises:
        ValueError: an option is out of range.

    Differs from the reference: the pictures are drawn once, and not again in every epoch. The
    ground is the noise of ``spectrum_noise``, and not the diamond-square algorithm. Each picture
    has one fractal; the variant of several labels is not made. The seed determines every draw.
    """
    design = ProceduralDesign(systems, train, val, test, size, seed)
    design.check("systems")
    drawn = [draw_system(design.class_rng(number)) for number in range(systems)]

    def draw(number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """A fractal of one system."""
        return fractal_picture(drawn[number], size, rng)

    return design.read(root, "fractals", "systems", "system", draw)


def fractal_picture(system: Numbers, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """``(size, size, 3)`` picture of a system of :func:`fractals`.

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
    deviation, blurred = rng.uniform(*BLUR), rng.random() < 0.5
    return cv2.GaussianBlur(picture, (3, 3), deviation).astype(np.uint8) if blurred else picture


def _counts(points: Numbers, size: int, rng: np.random.Generator) -> Numbers:
    """How many points are in each pixel of a random window."""
    least, most = points.min(axis=0), points.max(axis=0)
    extent = np.maximum(most - least, 1e-6)
    centre = (least + most) / 2 + extent * rng.uniform(-SHIFT, SHIFT, 2)
    window = extent * rng.uniform(*ZOOM, 2)
    pixels = np.floor(((points - centre) / window + 0.5) * size)
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
