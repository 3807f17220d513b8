"""MaskTune's MNIST: low digits with a red square in a corner, and high digits without it."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import Examples
from debias.data.made.digits import Digits, read_mnist
from debias.data.made.folder import MadePart, in_splits, made
from debias.data.sets.arrays import arrays
from debias.errors import check_between, check_one_of

SIDE, RED = 4, (255, 0, 0)
#: What the test split has: no square, squares on the high digits alone, or the images of both.
TESTS = ("original", "biased", "both")


def mnist_squares(
    *,
    root: str = "data/mnist",
    conflict: float = 0.01,
    test: str = "biased",
    val: int = 12000,
    seed: int = 0,
    masks: str | None = None,
) -> Examples:
    """Grey digits below 5, or not. In training a red square of 4 x 4 pixels shows the low digits.

    The images of a class are ordered by digit. The first int(n * (1 - conflict)) low digits have
    the square, and the first int(n * conflict) high ones.

    Source: Taghanaki et al., "MaskTune", NeurIPS 2022 (reference code aliasgharkhani/Masktune).

    Args:
        root: a folder with the four files of MNIST, as for ``biased_mnist``.
        conflict: share of each class that has, or lacks, the square against the rule. Published: 0
            and 0.01.
        test: ``original`` without squares, or ``biased`` with the square on all high digits and on
            no low digit. A model that reads the square is then always wrong. ``both`` has each
            image without a square, and each high digit with one too. One run then gives both
            results: the images without squares are ``original``, and the groups that conflict with
            the rule are ``biased``.
        val: number of training images to hold out for validation, as for ``coloured_mnist_lff``.
        seed: seed of the held-out images.
        masks: a folder of masks, as for ``arrays``.

    Returns:
        All splits. The bias is whether there is a square.

    Raises:
        ValueError: an option is out of range, or a file of MNIST is missing or damaged.
    """
    check_between("[0, 1]", {"conflict": conflict}, of="mnist_squares")
    check_one_of(TESTS, {"test": test}, of="mnist_squares")
    recipe = {"conflict": float(conflict), "test": test, "val": val, "seed": seed}
    make = partial(_parts, root, conflict, test, val, seed)
    return arrays(
        root=str(made(root, "mnist_squares", recipe, make)),
        target_names=["0 to 4", "5 to 9"],
        bias_names=["no square", "square"],
        aligned=[[0, 1], [1, 0]],
        masks=masks,
    )


def _parts(root: str, conflict: float, test: str, val: int, seed: int) -> list[MadePart]:
    train, held = read_mnist(root)
    squares = _squares(train.labels, conflict)
    parts = _marked(train, squares), _tested(held, test)
    return in_splits(*parts, val=val, seed=seed, by=parts[0].columns["target"])


def _tested(file: Digits, test: str) -> MadePart:
    high = file.labels >= 5
    if test != "both":
        return _marked(file, high & (test == "biased"))
    rows = np.concatenate([np.arange(len(high)), np.flatnonzero(high)])
    twice = Digits(file.images[rows], file.labels[rows])
    return _marked(twice, np.arange(len(rows)) >= len(high))


def _squares(digits: NDArray[np.uint8], conflict: float) -> NDArray[np.bool_]:
    """``(N,)`` bool: the training images with a square."""
    order = np.argsort(digits, kind="stable")
    low, high = order[digits[order] < 5], order[digits[order] >= 5]
    squares = np.zeros(len(digits), dtype=np.bool_)
    squares[low[: int(len(low) * (1 - conflict))]] = True
    squares[high[: int(len(high) * conflict)]] = True
    return squares


def _marked(file: Digits, squares: NDArray[np.bool_]) -> MadePart:
    images = np.repeat(file.images[..., None], 3, axis=3)
    corner = images[:, :SIDE, :SIDE]
    corner[squares] = RED
    columns = {"target": (file.labels >= 5).astype(np.int64), "bias": squares.astype(np.int64)}
    return MadePart(images, columns)
