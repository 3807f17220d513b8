"""MNIST-CIFAR and Dominoes: a simple picture above a CIFAR-10 photo, which both show the class."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import Examples
from debias.data.made.allocation import balanced, correlated
from debias.data.made.cifar import SIDE, read_cifar10
from debias.data.made.digits import read_mnist
from debias.data.made.folder import MadePart, in_splits, made
from debias.data.sets.arrays import arrays
from debias.errors import InputError, check_between, check_one_of

#: What the test split has: pairs as in training, or one block regardless of the class of the other.
TESTS = ("pairs", "shuffled_top", "shuffled_bottom")
MNIST, CIFAR = [[0], [1]], [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def mnist_cifar(
    *,
    root: str = "data/cifar10",
    top: str | None = None,
    top_classes: list[list[int]] | None = None,
    bottom_classes: list[list[int]] | None = None,
    share: float = 1.0,
    test: str = "pairs",
    val: float = 0.1,
    seed: int = 0,
) -> Examples:
    """Pictures of 64 x 32 pixels: an MNIST digit, padded to 32 x 32, above a CIFAR-10 photo.

    A class has digits of ``top_classes`` and photos of ``bottom_classes``. Both are taken in the
    order of their files, as many photos of each class as the smallest class has. The target is the
    class of the photo, and the bias is that of the digit. They agree in the given share.

    Source: Shah et al., "The Pitfalls of Simplicity Bias in Neural Networks", NeurIPS 2020
    (reference code harshays/simplicitybiaspitfalls). Dominoes are the same with a share below 1:
    Kirichenko et al., "Last Layer Re-Training is Sufficient", ICLR 2023.

    Args:
        root: a folder with CIFAR-10, as for ``cifar10``.
        top: a folder with the files of MNIST or Fashion-MNIST, as for ``biased_mnist``. By default
            they are in ``root``, too.
        top_classes: digits of each class. By default [[0], [1]].
        bottom_classes: classes of CIFAR-10 of each class, by number. By default [[0, 1, 2, 3, 4],
            [5, 6, 7, 8, 9]].
        share: share of each class whose digit fits, in training and validation.
        test: ``pairs`` for the same share in the test. ``shuffled_top``: every class of digits is
            equally often above each class of photos. ``shuffled_bottom`` is the reverse: the target
            is the class of the digit, and the bias that of the photo. A network that reads only the
            shuffled block is then right by chance.
        val: share of the training pairs to hold out for validation, in (0, 1).
        seed: seed of all draws.

    Returns:
        All splits.

    Raises:
        ValueError: an option is out of range, or a file is missing or damaged.

    Differs from the reference: there the pairs are shuffled once more, without a seed, and nothing
    is held out.
    """
    above, below = top_classes or MNIST, bottom_classes or CIFAR
    for name, classes in (("top_classes", above), ("bottom_classes", below)):
        numbers = [number for group in classes for number in group]
        once = len(set(numbers)) == len(numbers) and set(numbers) <= set(range(10))
        if len(classes) != len(below) or len(classes) < 2 or not once:
            raise InputError(
                "top_classes and bottom_classes must be equally many lists, at least two, of "
                f"different numbers below 10; got {name}={classes}"
            )
    check_between("[0, 1]", {"share": share}, of="mnist_cifar")
    check_between("(0, 1)", {"val": val}, of="mnist_cifar")
    check_one_of(TESTS, {"test": test}, of="mnist_cifar")
    top = root if top is None else top
    place = hashlib.sha256(str(Path(top).resolve()).encode()).hexdigest()[:8]
    recipe = {"top": place, "above": _text(above), "below": _text(below), "share": float(share)}
    recipe |= {"test": test, "val": float(val), "seed": seed}
    make = partial(_parts, root, top, above, below, share, test, val, seed)
    names = [f"class {label}" for label in range(len(below))]
    return arrays(
        root=str(made(root, "mnist_cifar", recipe, make)),
        target_names=names,
        bias_names=names,
        aligned=[[label, label] for label in range(len(below))],
    )


def _text(classes: list[list[int]]) -> list[str]:
    return ["".join(map(str, group)) for group in classes]


def _parts(
    root: str,
    top: str,
    above: list[list[int]],
    below: list[list[int]],
    share: float,
    test: str,
    val: float,
    seed: int,
) -> list[MadePart]:
    digits = read_mnist(top)
    classes = len(below)
    parts = []
    for at, photos in enumerate(read_cifar10(root)):
        bottom = _rows(photos.labels, below)
        tops = _rows(digits[at].labels, above)
        count = min(map(len, (*bottom, *tops)))
        label = np.repeat(np.arange(classes), count)
        paired = at == 0 or test == "pairs"
        other = (
            correlated(label, share, classes, seed, at)
            if paired
            else balanced(label, classes, seed, at)
        )
        chosen = np.concatenate([rows[:count] for rows in bottom])
        images = np.concatenate(
            [_padded(digits[at].images[_dealt(tops, other)]), photos.images[chosen]], axis=1
        )
        ends = (other, label) if test == "shuffled_bottom" and not paired else (label, other)
        parts.append(MadePart(images, dict(zip(("target", "bias"), ends, strict=True))))
    train = parts[0].columns["target"]
    return in_splits(*parts, val=max(1, round(val * len(train))), seed=seed, by=train)


def _rows(labels: NDArray[np.uint8], classes: list[list[int]]) -> list[NDArray[np.int64]]:
    """The rows of each class, in order."""
    return [np.flatnonzero(np.isin(labels, group)) for group in classes]


def _dealt(rows: list[NDArray[np.int64]], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(N,)`` a row for each of these classes: the first of the class, then its second, ..."""
    chosen = np.empty(len(classes), dtype=np.int64)
    for label, own in enumerate(rows):
        places = np.flatnonzero(classes == label)
        chosen[places] = own[np.arange(len(places)) % len(own)]
    return chosen


def _padded(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Digits ``(N, H, W)`` with a black border, as ``(N, 32, 32, 3)``."""
    before = (SIDE - grey.shape[1]) // 2
    border = (before, SIDE - grey.shape[1] - before)
    padded = np.pad(grey, ((0, 0), border, border))
    return np.repeat(padded[..., None], 3, axis=3)
