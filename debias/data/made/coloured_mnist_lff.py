"""Coloured MNIST of LfF: digits tinted in a colour that predicts the digit in training."""

from functools import partial

import numpy as np

from debias.data.examples import Examples
from debias.data.made.allocation import in_row_order, normal, skewed
from debias.data.made.colours import SPREADS, TINTS, tinted, varied
from debias.data.made.digits import DIGITS, Digits, read_mnist
from debias.data.made.folder import MadePart, in_splits, made, without
from debias.data.sets.arrays import arrays
from debias.errors import check_between, check_one_of

UNBIASED = 0.9


def coloured_mnist_lff(
    *,
    root: str = "data/mnist",
    skew: float = 0.01,
    severity: int = 4,
    val: int = 5000,
    seed: int = 0,
    leave_out: int = 0,
) -> Examples:
    """Digits on black ground, each in a colour that nearly all images of its class have.

    The colours are given by the order of the rows, see
    :func:`debias.data.made.allocation.in_row_order`: the share ``1 - skew`` of a class has its own
    colour, and each other colour has a ninth of the rest. In the test split every colour has a
    tenth.

    Source: Nam et al., "Learning from Failure", NeurIPS 2020 (reference code alinlab/LfF). DisEnt
    uses 55,000 of the training images: ``val=5000``, or ``leave_out=5000`` with ``val=0``.

    Args:
        root: a folder with the four files of MNIST, as for ``biased_mnist``.
        skew: share of each class in another colour; 0.05, 0.02, 0.01 and 0.005 in the paper.
        severity: from 1 to 5, how little a colour varies. Its standard deviation is 0.05, 0.02,
            0.01, 0.005 or 0.002.
        val: number of training images to hold out for validation, as biased as the others. If it is
            0, validation has the images of the test split, as in the authors' code: set
            ``select=last``.
        seed: seed of the colours' variation and of the held-out images.
        leave_out: number of training images that no split has. They are as biased as the others.

    Returns:
        All splits. The target is the digit. The bias is the colour, with the number of its digit.

    Raises:
        ValueError: an option is out of range, or a file of MNIST is missing or damaged.

    Differs from the reference: there the variation has no seed.
    """
    check_between("[0, 1]", {"skew": skew}, of="coloured_mnist_lff")
    check_one_of(range(1, len(SPREADS) + 1), {"severity": severity}, of="coloured_mnist_lff")
    recipe = {"skew": float(skew), "severity": severity, "val": val, "seed": seed}
    recipe |= {"leave_out": leave_out} if leave_out else {}  # as folders of before are called
    make = partial(_parts, root, skew, severity, val, seed, leave_out)
    return arrays(
        root=str(made(root, "coloured_mnist_lff", recipe, make)),
        target_names=list(DIGITS),
        bias_names=[name for name, _ in TINTS],
        aligned=[[digit, digit] for digit in range(len(DIGITS))],
    )


def _parts(
    root: str, skew: float, severity: int, val: int, seed: int, leave_out: int
) -> list[MadePart]:
    shares = (skew, UNBIASED)
    train, test = (
        _tinted(file, share, severity, seed, number)
        for number, (file, share) in enumerate(zip(read_mnist(root), shares, strict=True))
    )
    train = without(train, leave_out, seed=seed, by=train.columns["target"])
    return in_splits(train, test, val=val, seed=seed, by=train.columns["target"])


def _tinted(file: Digits, skew: float, severity: int, seed: int, number: int) -> MadePart:
    colour = in_row_order(file.labels, skewed(len(DIGITS), skew))
    names, means = zip(*TINTS, strict=True)
    noise = normal(seed, number, np.arange(len(colour)), 3)
    images = tinted(file.images, varied(np.array(means)[colour], severity, noise))
    return MadePart(images, {"target": file.labels, "bias": np.array(names)[colour]})
