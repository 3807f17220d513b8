"""Coloured MNIST of Correct-n-Contrast: five classes of digits, in five colours."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import Examples
from debias.data.made.allocation import generator, held_out, uniform
from debias.data.made.colours import rainbow
from debias.data.made.digits import Digits, read_mnist
from debias.data.made.folder import MadePart, made
from debias.data.sets.arrays import arrays
from debias.errors import check_between

#: A class has two digits that follow each other.
CLASSES = ("0-1", "2-3", "4-5", "6-7", "8-9")
#: Pixels from this brightness on have the colour. The edges of digits stay grey.
BRIGHT = 120


def coloured_mnist_cnc(
    *, root: str = "data/mnist", share: float = 0.995, val: int = 12000, seed: int = 0
) -> Examples:
    """Digits in five classes, whose bright pixels have the colour of their class in training.

    Each training image has its class's own colour with the probability ``share``, or else one of
    the four others. In validation and test, each of the five colours is equally probable.

    Source: Zhang et al., "Correct-n-Contrast", ICML 2022 (reference code
    HazyResearch/correct-n-contrast, ``datasets/colored_mnist.py``); there it is CMNIST*.

    Args:
        root: a folder with the four files of MNIST, as for ``biased_mnist``.
        share: probability of the own colour in training.
        val: number of training images to hold out for validation, at least 1.
        seed: seed of the colours and of the held-out images. The draws of a row do not depend on
            the other rows.

    Returns:
        All splits. The bias is the colour, with the number of its class.

    Raises:
        ValueError: an option is out of range, or a file of MNIST is missing or damaged.

    Differs from the reference: the held-out images have the same share of each class. There random
    crops are part of training and of evaluation, which a preprocessing of debias cannot do.
    """
    check_between("[0, 1]", {"share": share}, of="coloured_mnist_cnc")
    check_between("[1, 60000)", {"val": val}, of="coloured_mnist_cnc")
    recipe = {"share": float(share), "val": val, "seed": seed}
    folder = made(root, "coloured_mnist_cnc", recipe, partial(_parts, root, share, val, seed))
    return arrays(
        root=str(folder),
        target_names=list(CLASSES),
        bias_names=[f"colour {number}" for number in range(len(CLASSES))],
        aligned=[[number, number] for number in range(len(CLASSES))],
    )


def _parts(root: str, share: float, val: int, seed: int) -> list[MadePart]:
    train, test = read_mnist(root)
    target = train.labels // 2
    out = held_out(target, val, generator(seed, 0))
    shares = np.where(out, 1 / len(CLASSES), share)
    splits = np.where(out, "val", "train")
    even = np.full(len(test.labels), 1 / len(CLASSES))
    return [
        _coloured(train, shares, splits, seed, 0),
        _coloured(test, even, np.full(len(test.labels), "test"), seed, 1),
    ]


def _coloured(
    file: Digits, share: NDArray[np.float64], split: NDArray[np.str_], seed: int, number: int
) -> MadePart:
    target = (file.labels // 2).astype(np.int64)
    own, other = uniform(seed, number, np.arange(len(target)), 2).T
    step = 1 + (other * (len(CLASSES) - 1)).astype(np.int64)
    colour = np.where(own < share, target, (target + step) % len(CLASSES))
    wheel = np.array(rainbow(len(CLASSES)), np.uint8)
    bright = (file.images >= BRIGHT)[..., None]
    images = np.where(bright, wheel[colour][:, None, None], file.images[..., None])
    return MadePart(images, {"target": target, "bias": colour, "split": split})
