"""Drawn shapes whose shape, size, angle, place and colour agree in training, not in the test."""

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import generator
from debias.data.made.cue_design import CueDesign
from debias.data.made.folder import MadePart, made

SIDE = 64
#: The values of each factor, by name.
NAMES = {
    "shape": ("square", "ellipse", "heart"),
    "scale": ("small", "medium", "large"),
    "orientation": ("0°", "30°", "60°"),
    "place": ("left", "middle", "right"),
    "colour": ("red", "green", "blue"),
}
FACTORS = tuple(NAMES)
#: Radius in pixels, angle in degrees and horizontal place in pixels of each value, and how far an
#: image may be from it.
RADII, ANGLES, PLACES = (7.0, 10.0, 13.0), (0.0, 30.0, 60.0), (19.0, 32.0, 45.0)
SPREAD = {"radius": 0.7, "angle": 5.0, "across": 1.5, "down": 12.0, "light": 40.0}


def wcst_sprites(
    *,
    root: str = "data/wcst_sprites",
    cues: tuple[str, ...] = FACTORS,
    train: int = 3000,
    val: int = 300,
    each: int = 10,
    seed: int = 0,
) -> Examples:
    """Squares, ellipses and hearts on black ground, as in dSprites, in one of three colours.

    In training, all cues have the same number: any of them gives the class. In the test they
    conflict, and every combination is equally common. The vertical place and the brightness vary at
    random.

    Source: the design of Scimeca et al., "Which Shortcut Cues Will DNNs Choose? A Study from the
    Parameter-Space Perspective", ICLR 2022 (WCST-ML), which uses dSprites (Matthey et al., 2017).

    Args:
        root: the folder below which the images are written.
        cues: what agrees in training, of "shape", "scale", "orientation", "place" and "colour"; see
            ``wcst_mnist``.
        train: number of training images, at least 3.
        val: number of validation images, at least 3.
        each: test images of each combination of values that do not all agree.
        seed: seed of all draws.

    Returns:
        All splits. The target is the first cue, and the others are bias attributes.

    Raises:
        ValueError: an option is out of range, or a cue is unknown.

    Differs from the reference: OpenCV draws the images, since no file of dSprites is needed. There
    are three values per factor, which vary a little, in place of dSprites' fixed grid.
    """
    design = CueDesign(FACTORS, tuple(cues), tuple(NAMES.values()), train, val, each, seed)
    design.check()
    recipe = {"cues": list(cues), "train": train, "val": val, "each": each, "seed": seed}
    return design.read(made(root, "wcst_sprites", recipe, partial(_parts, design)))


def _parts(design: CueDesign) -> list[MadePart]:
    return [_drawn(design, split) for split in SPLITS]


def _drawn(design: CueDesign, split: str) -> MadePart:
    values = design.values(split)
    noise = generator(design.seed, SPLITS.index(split), 0).uniform(-1, 1, (len(values), 5))
    images = np.stack([_picture(*pair) for pair in zip(values, noise, strict=True)])
    return MadePart(images, design.columns(split, values))


def _picture(values: NDArray[np.int64], noise: NDArray[np.float64]) -> NDArray[np.uint8]:
    """One shape; ``noise`` holds five numbers in [-1, 1], in the order of ``SPREAD``."""
    shape, scale, orientation, place, colour = values.tolist()
    radius, angle, across, down, light = noise * np.array(list(SPREAD.values()))
    turn = np.deg2rad(ANGLES[orientation] + angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.array([PLACES[place] + across, SIDE / 2 + down])
    corners = _outline(NAMES["shape"][shape]) * (RADII[scale] + radius) @ rotation.T + centre
    paint = [0.0, 0.0, 0.0]
    paint[colour] = 200 + light
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    cv2.fillPoly(image, [np.rint(corners * 16).astype(np.int32)], paint, cv2.LINE_AA, shift=4)
    return image


def _outline(shape: str) -> NDArray[np.float64]:
    """``(points, 2)`` outline of a shape, about 1 from its centre."""
    if shape == "square":
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.9
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    if shape == "ellipse":
        return np.stack([1.2 * np.cos(t), 0.7 * np.sin(t)], axis=1)
    height = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -height - 2.5], axis=1) / 14
