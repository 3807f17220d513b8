"""Coloured MNIST with two classes: IRM's, DomainBed's and SubpopBench's."""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import generator, uniform
from debias.data.made.digits import read_mnist
from debias.data.made.folder import MadePart, in_splits, made
from debias.data.sets.arrays import arrays
from debias.data.tables.labels import bias_columns
from debias.errors import InputError, check_at_least, check_between, check_one_of

COLOURS = ("red", "green")
ENVIRONMENTS = ("train1", "train2", "test")
LOW, HIGH = "0 to 4", "5 to 9"


class Version(NamedTuple):
    """One of the data sets of this name.

    Attributes:
        flips: the probability of another colour than the class's, in each environment.
        classes: names of the classes.
        files: 1 for MNIST's training file, 2 for both files.
        every: which pixels of rows and columns are taken.
        ends: share of the rows, in order, that ends each environment that is not drawn.
        drawn: how many environments share the first ``ends[0]`` of the rows in turn, by chance.
        environments: names of the environments. The last one is the test.
    """

    flips: tuple[float, float, float]
    classes: tuple[str, str]
    files: int
    every: int
    ends: tuple[float, ...]
    drawn: int
    environments: tuple[str, ...] = ENVIRONMENTS


VERSIONS = {
    "irm": Version((0.2, 0.1, 0.9), (HIGH, LOW), 1, 2, (5 / 6, 1), 2),
    "domainbed": Version((0.1, 0.2, 0.9), (HIGH, LOW), 2, 1, (1,), 3),
    "subpop": Version((0.2, 0.2, 0.2), (LOW, HIGH), 1, 1, (1 / 2, 2 / 3, 1), 1, SPLITS),
}


def coloured_mnist(
    *,
    root: str = "data/mnist",
    version: str = "irm",
    bias: str | list[str] = "colour",
    flips: list[float] | None = None,
    noise: float = 0.25,
    every: int | None = None,
    grey: bool = False,
    val: int = 5000,
    seed: int = 0,
) -> Examples:
    """Red or green digits of two classes, whose colour predicts the class otherwise in the test.

    The class is that of the digit (below 5, or not), and wrong with the probability ``noise``. The
    colour follows this noisy class, and is flipped with the probability of the environment.

    - ``irm``: the environments are the even and the odd positions of the first 50,000 training
      rows, which are shuffled. The other 10,000 training rows are the test. Class 1 has the digits
      below 5.
    - ``domainbed``: all 70,000 rows are shuffled, and every third is in the same environment. The
      last one is the test. Class 1 has the digits below 5.
    - ``subpop``: the first 30,000 training rows are the training split, the next 10,000 the
      validation split, and the last 20,000 the test. Class 1 has the digits from 5 on.

    Source: Arjovsky et al., "Invariant Risk Minimization", 2019; Gulrajani and Lopez-Paz, "In
    Search of Lost Domain Generalization", ICLR 2021; Yang et al., "Change is Hard", ICML 2023.

    Args:
        root: a folder with the four files of MNIST, as for ``biased_mnist``.
        version: ``irm``, ``domainbed`` or ``subpop``.
        bias: ``colour``, ``environment`` for methods whose bias attribute is the environment, or
            both in a list.
        flips: the probability of each environment, the test last. By default [0.2, 0.1, 0.9] (irm),
            [0.1, 0.2, 0.9] (domainbed), or 0.2 in all splits (subpop).
        noise: probability that the class of an image is wrong.
        every: take every n-th pixel of rows and columns. By default 2 for ``irm``, or 1.
        grey: leave out the colour. A model then reaches the best accuracy without it.
        val: number of training images to hold out for validation, the same share of each class and
            environment. If it is 0, validation has the images of the test split, as in the
            authors' code: set ``select=last``. The version ``subpop`` does not read it.
        seed: seed of all draws. Draws of a row do not depend on the other rows.

    Returns:
        All splits. ``labels.csv`` in the folder also has the digit, the class without noise, the
        colour and the environment of each image.

    Raises:
        ValueError: an option is out of range, or a file of MNIST is missing or damaged.

    Differs from the reference: IRM and DomainBed set no seed of their own for the data. SubpopBench
    draws each split with seed 666, and has options for unequal classes and colours, and 224 px.
    """
    check_one_of(tuple(VERSIONS), {"version": version}, of="coloured_mnist")
    kind = VERSIONS[version]
    chances = list(kind.flips) if flips is None else flips
    if len(chances) != len(kind.flips):
        raise InputError(f"flips must be three numbers, the test last; got flips={chances}")
    check_between("[0, 1]", dict(zip(kind.environments, chances, strict=True)), of="flips")
    check_between("[0, 1]", {"noise": noise}, of="coloured_mnist")
    every = kind.every if every is None else every
    check_at_least(1, {"every": every}, of="coloured_mnist")
    recipe = {"version": version, "flips": chances, "noise": noise, "every": every, "grey": grey}
    make = partial(_parts, root, kind, chances, noise, every, grey, val, seed)
    folder = made(root, "coloured_mnist", recipe | {"val": val, "seed": seed}, make)
    names = {"colour": list(COLOURS), "environment": list(kind.environments)}
    chosen = bias_columns(bias)
    return arrays(
        root=str(folder),
        bias=chosen,
        target_names=list(kind.classes),
        bias_names={name: names[name] for name in chosen if name in names},
        aligned={"colour": [[0, 0], [1, 1]]} if "colour" in chosen else None,
    )


def _parts(
    root: str,
    kind: Version,
    flips: list[float],
    noise: float,
    every: int,
    grey: bool,
    val: int,
    seed: int,
) -> list[MadePart]:
    files = read_mnist(root)[: kind.files]
    digit = np.concatenate([file.labels for file in files])
    rows = [uniform(seed, at, np.arange(len(file.labels)), 2) for at, file in enumerate(files)]
    wrong, flipped = np.concatenate(rows).T
    environment = _environments(kind, len(digit), seed)
    clean = (digit < 5) == (kind.classes[1] == LOW)
    target = clean != (wrong < noise)
    colour = (target != (flipped < np.array(flips)[environment])).astype(np.int64)
    images = np.concatenate([file.images[:, ::every, ::every] for file in files])
    columns = {"digit": digit, "clean": clean.astype(np.int64), "target": target.astype(np.int64)}
    columns |= {"colour": np.array(COLOURS)[colour]}
    columns |= {"environment": np.array(kind.environments)[environment]}
    whole = MadePart(images if grey else _painted(images, colour), columns)
    if kind.environments == SPLITS:
        return [MadePart(whole.images, {**columns, "split": columns["environment"]})]
    test = environment == len(ENVIRONMENTS) - 1
    by = (2 * environment + target)[~test]
    return in_splits(whole.take(~test), whole.take(test), val=val, seed=seed, by=by)


def _environments(kind: Version, count: int, seed: int) -> NDArray[np.int64]:
    """``(count,)`` environment of each row."""
    ends = [round(count * end) for end in kind.ends]
    # the rows after the first end are in the last environments, one after the other
    environment = kind.drawn - 1 + np.searchsorted(ends, np.arange(count), side="right")
    if kind.drawn > 1:
        order = generator(seed, 1).permutation(ends[0])
        environment[order] = np.arange(ends[0]) % kind.drawn
    return environment


def _painted(grey: NDArray[np.uint8], colour: NDArray[np.int64]) -> NDArray[np.uint8]:
    """``(N, H, W, 2)`` digits in red (0) or green (1)."""
    images = np.zeros((*grey.shape, len(COLOURS)), np.uint8)
    images[np.arange(len(grey)), :, :, colour] = grey
    return images
