"""Digits whose shape, ground and place agree in training and conflict in the test."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import Integers, generator
from debias.data.made.colours import COLOURS
from debias.data.made.cue_design import CueDesign
from debias.data.made.digits import DIGITS, Digits, read_mnist
from debias.data.made.folder import MadePart, made

FACTORS = ("digit", "colour", "place")
#: Side of an image, and distance of the centre of a digit from that of the image, in pixels.
SIDE, RADIUS = 64, 18


def wcst_mnist(
    *,
    root: str = "data/mnist",
    cues: tuple[str, ...] = FACTORS,
    train: int = 10000,
    val: int = 1000,
    each: int = 4,
    seed: int = 0,
) -> Examples:
    """White digits of MNIST on a coloured ground, each at one of ten places of a circle.

    In training, digit, colour and place have the same number: any of them gives the class. In the
    test they conflict, and every combination is equally common, so that the answers show which cue
    a model follows (``measures=preference``). Training takes images of MNIST's training file, and
    validation and test those of its test file.

    Source: the design of Scimeca et al., "Which Shortcut Cues Will DNNs Choose? A Study from the
    Parameter-Space Perspective", ICLR 2022 (WCST-ML); the colours are those of Biased-MNIST. The
    set is our own.

    Args:
        root: a folder with the four files of MNIST, as for ``biased_mnist``.
        cues: what agrees in training, of "digit", "colour" and "place". The others are drawn
            independently. The first cue is the target. With one cue, training shows how fast this
            cue alone is learnt.
        train: number of training images, at least 10.
        val: number of validation images, whose cues agree too, at least 10.
        each: test images of each combination of values that do not all agree.
        seed: seed of all draws.

    Returns:
        All splits. The target is the first cue, and the others are bias attributes.

    Raises:
        ValueError: an option is out of range, a cue is unknown, or a file of MNIST is missing or
            damaged.
    """
    names = (DIGITS, tuple(name for name, _ in COLOURS), tuple(f"{36 * k}°" for k in range(10)))
    design = CueDesign(FACTORS, tuple(cues), names, train, val, each, seed)
    design.check()
    recipe = {"cues": list(cues), "train": train, "val": val, "each": each, "seed": seed}
    return design.read(made(root, "wcst_mnist", recipe, partial(_parts, root, design)))


def _parts(root: str, design: CueDesign) -> list[MadePart]:
    train, test = read_mnist(root)
    files = {"train": train, "val": test, "test": test}
    return [_drawn(files[split], design, split) for split in SPLITS]


def _drawn(file: Digits, design: CueDesign, split: str) -> MadePart:
    values = design.values(split)
    rng = generator(design.seed, SPLITS.index(split), 0)
    images = np.empty((len(values), SIDE, SIDE, 3), np.uint8)
    rows = _rows(file, values[:, 0], rng)
    for image, row, (_, colour, place) in zip(images, rows, values, strict=True):
        image[:] = _picture(file.images[row], COLOURS[colour][1], place)
    return MadePart(images, design.columns(split, values))


def _rows(file: Digits, digits: Integers, rng: np.random.Generator) -> Integers:
    """A row of the file for each digit. A row repeats only when all of its digit are used."""
    chosen = np.empty(len(digits), np.int64)
    for digit in np.unique(digits).tolist():
        places = np.flatnonzero(digits == digit)
        rows = rng.permutation(np.flatnonzero(file.labels == digit))
        chosen[places] = np.resize(rows, len(places))
    return chosen


def _picture(
    grey: NDArray[np.uint8], ground: tuple[int, int, int], place: int
) -> NDArray[np.uint8]:
    """The digit, white on its ground, with its centre on the circle."""
    height, width = grey.shape
    angle = 2 * np.pi * place / 10
    top = round(SIDE / 2 - RADIUS * np.cos(angle) - height / 2)
    left = round(SIDE / 2 + RADIUS * np.sin(angle) - width / 2)
    cover = np.zeros((SIDE, SIDE, 1))
    cover[top : top + height, left : left + width, 0] = grey / 255
    return np.asarray(np.rint(cover * 255 + (1 - cover) * np.array(ground)), np.uint8)
