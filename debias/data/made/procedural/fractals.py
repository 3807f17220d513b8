"""Drawn fractals, one class per system of affine maps."""

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import Examples
from debias.data.made.procedural.affine_systems import draw_system
from debias.data.made.procedural.classes import ProceduralDesign
from debias.data.made.procedural.fractal_pictures import fractal_picture, several_fractals


def fractals(
    *,
    root: str = "data/fractals",
    systems: int = 50,
    instances: int = 1,
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
        instances: most fractals in a picture, at least 1. With 1, the target is the system. With
            more, a picture has 1 to ``instances`` smaller ones at random places, and each system is
            a label, present or absent. Published for several labels: 5.
        train: number of training pictures, at least ``systems``.
        val: number of validation pictures, at least ``systems``.
        test: number of test pictures, at least ``systems``.
        size: side of the pictures in pixels, from 16 to 512.
        seed: seed of all draws. A picture depends on seed, split, row, ``systems``, ``instances``
            and ``size``.

    Returns:
        All splits. The target is the system, or the labels are the systems. No bias is known.

    Raises:
        ValueError: an option is out of range.

    Differs from the reference: the pictures are drawn once, and not again in every epoch. The
    ground is the noise of ``spectrum_noise``, and not the diamond-square algorithm. With several
    labels, one fractal is of the system ``row % systems``, so that every system occurs; there, all
    are drawn. Each is rendered at its own size with 2 points per pixel; there, at half of the
    picture's side with 8, and then resized. The window has ``size`` pixels on a side; there, one
    fewer, and points just outside are in its first pixels. A stamp of points always has its middle.
    Hues are one turn of the circle; there, 1.4 turns. The seed determines every draw.
    """
    design = ProceduralDesign(systems, train, val, test, size, seed, instances)
    design.check("systems")
    drawn = [draw_system(design.class_rng(number)) for number in range(systems)]

    def draw(shown: list[int], rng: np.random.Generator) -> NDArray[np.uint8]:
        """A picture of some systems."""
        if instances > 1:
            return several_fractals([drawn[number] for number in shown], size, rng)
        return fractal_picture(drawn[shown[0]], size, rng)

    return design.read(root, "fractals", "systems", "system", draw)
