"""Which images of a generated data set get which bias value, and which are held out."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from debias.errors import InputError, check_at_least

Integers = NDArray[np.int64]


def generator(seed: int, *key: int) -> np.random.Generator:
    """The generator of one draw. Its key has the number of a file, and of a row or a class in it.

    The draws of a row then do not depend on the other rows, nor on their number. Keys of different
    lengths never give the same draws.
    """
    return np.random.default_rng([seed, len(key), *key])


def uniform(seed: int, part: int, rows: Integers, count: int) -> NDArray[np.float64]:
    """``(N, count)`` numbers in [0, 1), drawn from the seed, the file and each row."""
    return np.array([generator(seed, part, row, 0, 0).random(count) for row in rows.tolist()])


def normal(seed: int, part: int, rows: Integers, count: int) -> NDArray[np.float64]:
    """``(N, count)`` numbers of mean 0 and variance 1, drawn as those of :func:`uniform`."""
    drawn = (generator(seed, part, row, 0, 1).standard_normal(count) for row in rows.tolist())
    return np.array(list(drawn)).reshape(len(rows), count)


def skewed(classes: int, skew: float) -> NDArray[np.float64]:
    """``(classes, classes)`` shares: 1 - skew on the own value, the rest equal on the others."""
    shares = np.full((classes, classes), skew / (classes - 1))
    np.fill_diagonal(shares, 1 - skew)
    return shares


def in_row_order(labels: NDArray[np.integer], shares: NDArray[np.float64]) -> Integers:
    """``(N,)`` bias values by the order of the rows, as in LfF.

    Of the n rows of a class, those below round(n * shares[class][0]) get value 0, the next up to
    round(n * (shares[class][0] + shares[class][1])) get value 1, and so on.

    Source: Nam et al., "Learning from Failure", NeurIPS 2020 (reference code alinlab/LfF,
    ``make_dataset.py``).

    Args:
        labels: ``(N,)`` classes.
        shares: ``(classes, values)``, each row with the sum 1.

    Example:
        >>> in_row_order(np.zeros(10, int), np.array([[0.7, 0.1, 0.2]])).tolist()
        [0, 0, 0, 0, 0, 0, 0, 1, 2, 2]
    """
    values = np.empty(len(labels), dtype=np.int64)
    for label, cumulated in enumerate(np.cumsum(shares, axis=1)):
        rows = np.flatnonzero(labels == label)
        ends = np.round(len(rows) * cumulated)
        values[rows] = np.searchsorted(ends, np.arange(len(rows)), side="right")
    return values


def dealt(count: int, own: int, share: float, values: int, rng: np.random.Generator) -> Integers:
    """``(count,)`` bias values of the shuffled rows of one class, as in ReBias.

    The first int(count * share) rows get the class's own value. The other values are dealt in turn
    to the rest, in an order drawn from ``rng``.
    """
    conflicting = count - int(count * share)
    others = rng.permutation(np.delete(np.arange(values), own))
    assert len(others) or not conflicting
    spread = others[np.arange(conflicting) % max(1, len(others))]
    return np.concatenate([np.full(count - conflicting, own), spread])


def correlated(
    labels: NDArray[np.integer], share: float, values: int, seed: int, *key: int
) -> Integers:
    """``(N,)`` bias values of :func:`dealt`, with the rows of each class shuffled by seed and key.

    Args:
        labels: ``(N,)`` classes, which are also the numbers of their own values.
        share: share of each class that gets its own value.
        values: number of bias values.
        seed: seed of the draws.
        key: what this allocation is, such as the number of a file.
    """
    chosen = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels).tolist():
        rng = generator(seed, *key, label)
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen[rows] = dealt(len(rows), label, share, values, rng)
    return chosen


def balanced(labels: NDArray[np.integer], values: int, seed: int, *key: int) -> Integers:
    """``(N,)`` bias values, each as often as the others in every class up to one row."""
    chosen = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels).tolist():
        rows = generator(seed, *key, label).permutation(np.flatnonzero(labels == label))
        chosen[rows] = np.arange(len(rows)) % values
    return chosen


def check_left(images: int, taken: Mapping[str, int]) -> None:
    """Check the numbers of images that are taken out of training, by the names of their options.

    Raises:
        ValueError: a number is negative, or no training image is left.
    """
    check_at_least(0, taken)
    if sum(taken.values()) >= images:
        given = {name: count for name, count in taken.items() if count}
        raise InputError(
            f"{' + '.join(f'{name}={count}' for name, count in given.items())} leaves none of the "
            f"{images} training images: set a lower {' or '.join(given)}"
        )


def held_out(
    labels: NDArray[np.integer], count: int, rng: np.random.Generator, *, option: str = "val"
) -> NDArray[np.bool_]:
    """``(N,)`` bool that selects ``count`` rows, the same share of each class up to rounding.

    Raises:
        ValueError: ``count`` is negative, or leaves no row; the message names its ``option``.
    """
    check_left(len(labels), {option: count})
    # every k-th of the rows, which are shuffled and then sorted by class
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    chosen = np.zeros(len(labels), dtype=np.bool_)
    chosen[order[np.arange(count) * len(labels) // count]] = True
    return chosen
