"""Drawn shapes with several labels: in training, a circle is nearly always beside a square."""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import Integers, generator
from debias.data.made.folder import MadePart, made, with_labels
from debias.data.sets.arrays import arrays
from debias.errors import check_at_least, check_between
from debias.types import ContextPair

LABEL, CONTEXT = "circle", "square"
#: The labels. The others are independent of each other and of these two.
SHAPES = (LABEL, CONTEXT, "triangle", "cross")
#: Side of an image, of a cell of its grid of two by two, and of the mean shape, in pixels.
SIDE, CELL, RADIUS = 48, 24, 7.5
#: How much a circle is squeezed at most, and how much an ellipse, which is no circle.
ROUND, OVAL = (0.9, 1.0), (0.35, 0.55)
#: Contrast of a shape with the ground, from 0 to 255, of circles and ellipses, and of the others.
FAINT, CLEAR = (50, 90), (70, 120)


def drawn_shapes(
    *,
    root: str = "data/drawn_shapes",
    together: float = 0.95,
    alone: float = 0.2,
    train: int = 3000,
    val: int = 500,
    test: int = 1500,
    seed: int = 0,
) -> Examples:
    """Pictures with several labels: circle, square, triangle and cross, each present or absent.

    In training, the square is the usual context of the circle. A circle is faint, and half of the
    pictures without one have an ellipse in its place. A square is easy to see. So a classifier
    finds a circle less well without a square. In the test, all four labels are independent.

    Args:
        root: the folder below which the images are written.
        together: share of the training images with a circle that have a square, in (0, 1).
        alone: share of the training images without a circle that have a square, in (0, 1).
        train: number of training images, at least 8. Half of them have a circle.
        val: number of validation images, drawn like training, at least 8.
        test: number of test images, at least 8. Half of them have a square, with or without circle.
        seed: seed of all draws.

    Returns:
        All splits, with four labels. The bias attribute is the presence of a square, and the known
        context of the circle is the square.

    Raises:
        ValueError: a share is not in (0, 1), or a number is too small.
    """
    check_between("(0, 1)", {"data.together": together, "data.alone": alone})
    sizes = dict(zip(SPLITS, (train, val, test), strict=True))
    check_at_least(8, {f"data.{split}": size for split, size in sizes.items()})
    check_at_least(0, {"data.seed": seed})
    shares = {"together": together, "alone": alone}
    folder = made(
        root,
        "drawn_shapes",
        {**shares, **sizes, "seed": seed},
        partial(_parts, shares, sizes, seed),
    )
    examples = with_labels(arrays(root=str(folder), target=LABEL, bias=CONTEXT), folder, SHAPES)
    names = (f"no {CONTEXT}", CONTEXT)
    contexts = (ContextPair(SHAPES.index(LABEL), SHAPES.index(CONTEXT)),)
    return replace(examples, groups=replace(examples.groups, bias_names=names, contexts=contexts))


def _parts(shares: dict[str, float], sizes: dict[str, int], seed: int) -> list[MadePart]:
    parts = []
    for number, (split, size) in enumerate(sizes.items()):
        biased = shares if split != "test" else dict.fromkeys(shares, 0.5)
        labels = label_table(size, **biased, rng=generator(seed, number))
        images = [_picture(row, generator(seed, number, at)) for at, row in enumerate(labels)]
        columns = {shape: labels[:, place] for place, shape in enumerate(SHAPES)}
        parts.append(MadePart(np.stack(images), {"split": np.full(size, split), **columns}))
    return parts


def label_table(size: int, *, together: float, alone: float, rng: np.random.Generator) -> Integers:
    """``(size, 4)`` 0/1 labels in the order of ``SHAPES``; the shares are exact up to rounding.

    Args:
        size: number of images. Every second one has a circle.
        together: share of the images with a circle that have a square.
        alone: share of the images without a circle that have a square.
        rng: draws which ones.
    """
    labels: Integers = rng.integers(2, size=(size, len(SHAPES)))
    labels[:, 0] = np.arange(size) % 2
    for shown, share in ((1, together), (0, alone)):
        rows = rng.permutation(np.flatnonzero(labels[:, 0] == shown))
        labels[rows, 1] = np.arange(len(rows)) < round(len(rows) * share)
    return labels


def _picture(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The shapes of one picture, each in a cell of its own, on a grey ground with noise."""
    image = rng.normal(110, 14, (SIDE, SIDE, 3)) + rng.uniform(-15, 15, 3)
    cells = rng.permutation(len(SHAPES))
    oval = bool(rng.random() < 0.5)
    for shape, shown, cell in zip(SHAPES, labels.tolist(), cells.tolist(), strict=True):
        draws = rng.uniform(size=10)  # drawn in any case: a label changes no other shape
        if shown or (shape == LABEL and oval):
            corners = _outline(shape, draws[0], squeezed=bool(shown)) * (RADIUS + 2 * draws[1])
            turn = 2 * np.pi * draws[2]
            rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            corner = np.array([cell % 2, cell // 2]) * CELL
            places = corners @ rotation.T + corner + CELL / 2 + 3 * (draws[3:5] - 0.5)
            _fill(image, places, _colour(shape, draws[5:]))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _outline(shape: str, draw: float, *, squeezed: bool) -> NDArray[np.float64]:
    """``(points, 2)`` outline of a shape, about 1 from its centre."""
    if shape == CONTEXT:
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.85
    if shape == "triangle":
        return np.array([[-1, -0.7], [1, -0.7], [0, 1.1]])
    if shape == "cross":
        a = 0.32
        half = [[a, 1], [a, a], [1, a], [1, -a], [a, -a], [a, -1]]
        return np.array([*half, *(-np.array(half)).tolist()])
    least, most = ROUND if squeezed else OVAL
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    narrow = least + (most - least) * draw
    return np.stack([np.cos(t) / np.sqrt(narrow), np.sin(t) * np.sqrt(narrow)], axis=1)


def _colour(shape: str, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a shape adds to each channel of the ground, lighter or darker, by five draws."""
    least, most = FAINT if shape == LABEL else CLEAR
    contrast = least + (most - least) * draws[0]
    added: NDArray[np.float64] = (0.6 + 0.4 * draws[1:4]) * contrast
    return added if draws[4] < 0.5 else -added


def _fill(image: NDArray[np.float64], corners: NDArray[np.float64], colour: object) -> None:
    """Add a colour to the pixels within an outline; borders are smooth."""
    inside = np.zeros((SIDE, SIDE), np.uint8)
    points = np.rint(corners * 16).astype(np.int32)
    cv2.fillPoly(inside, [points], 255, cv2.LINE_AA, shift=4)
    image += inside[..., None] / 255.0 * np.asarray(colour)
