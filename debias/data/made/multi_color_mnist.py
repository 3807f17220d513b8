"""Multi-Color MNIST of DebiAN: two colours of the ground, left and right, predict the digit."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import Examples
from debias.data.made.allocation import in_row_order, normal, skewed
from debias.data.made.colours import SPREADS, TINTS, varied
from debias.data.made.digits import DIGITS, Digits, read_mnist
from debias.data.made.folder import MadePart, in_splits, made
from debias.data.sets.arrays import arrays
from debias.data.tables.labels import bias_columns
from debias.errors import InputError, check_between, check_one_of

SIDES = ("left", "right")
UNBIASED = (0.9, 0.9)


def multi_color_mnist(
    *,
    root: str = "data/mnist",
    bias: str | list[str] | None = None,
    skews: tuple[float, ...] = (0.01, 0.05),
    severity: int = 4,
    val: int = 5000,
    seed: int = 0,
) -> Examples:
    """Grey digits on two colours of ground. Each colour predicts the digit in training.

    The left half has one of LfF's ten colours, and the right half the complement of one. A pair of
    colours is given by the order of the rows, see
    :func:`debias.data.made.allocation.in_row_order`. Its share is the product of the shares of both
    colours.

    Source: Li et al., "Discover and Mitigate Unknown Biases with Debiasing Alternate Networks",
    ECCV 2022 (reference code zhihengli-UR/DebiAN).

    Args:
        root: a folder with the four files of MNIST, as for ``biased_mnist``.
        bias: ``left``, ``right``, or both by default.
        skews: share of each class in another colour, left and right.
        severity: how little a colour varies, as for ``coloured_mnist_lff``.
        val: number of training images to hold out, as for ``coloured_mnist_lff``.
        seed: seed of the colours' variation and of the held-out images.

    Returns:
        All splits. The target is the digit. A bias value is a pair of colours.

    Raises:
        ValueError: an option is out of range, or a file of MNIST is missing or damaged.

    Differs from the reference: there the variation has no seed.
    """
    if len(skews) != len(SIDES):
        raise InputError(f"skews must be two numbers, left and right; got skews={list(skews)}")
    check_between("[0, 1]", dict(zip(SIDES, skews, strict=True)), of="skews")
    check_one_of(range(1, len(SPREADS) + 1), {"severity": severity}, of="multi_color_mnist")
    recipe = {"skews": list(skews), "severity": severity, "val": val, "seed": seed}
    make = partial(_parts, root, tuple(skews), severity, val, seed)
    chosen = bias_columns(bias) or list(SIDES)
    pairs: list[list[int | str]] = [[digit, digit] for digit in range(len(DIGITS))]
    return arrays(
        root=str(made(root, "multi_color_mnist", recipe, make)),
        bias=chosen,
        target_names=list(DIGITS),
        bias_names={side: [f"{side} {name}" for name, _ in TINTS] for side in chosen},
        aligned=dict.fromkeys(chosen, pairs),
    )


def _parts(
    root: str, skews: tuple[float, ...], severity: int, val: int, seed: int
) -> list[MadePart]:
    train, test = (
        _coloured(file, share, severity, seed, number)
        for number, (file, share) in enumerate(
            zip(read_mnist(root), (skews, UNBIASED), strict=True)
        )
    )
    return in_splits(train, test, val=val, seed=seed, by=train.columns["target"])


def _coloured(
    file: Digits, skews: tuple[float, ...], severity: int, seed: int, number: int
) -> MadePart:
    left, right = (skewed(len(DIGITS), skew) for skew in skews)
    shares = (left[:, :, None] * right[:, None, :]).reshape(len(DIGITS), -1)
    pair = in_row_order(file.labels, shares)
    values = np.stack([pair // len(TINTS), pair % len(TINTS)])
    noise = normal(seed, number, np.arange(len(pair)), 6)
    means = np.array([mean for _, mean in TINTS])
    colours = [
        varied(means[values[0]], severity, noise[:, :3]),
        varied(1 - means[values[1]], severity, noise[:, 3:]),
    ]
    columns = {"target": file.labels}
    for side, value in zip(SIDES, values, strict=True):
        columns[side] = np.array([f"{side} {name}" for name, _ in TINTS])[value]
    return MadePart(_on_grounds(file.images, *colours), columns)


def _on_grounds(
    grey: NDArray[np.uint8], left: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """``(N, H, W, 3)``: the grey digits, plus the colours on all pixels that are not white."""
    images = np.empty((*grey.shape, 3), np.uint8)
    middle = grey.shape[2] // 2
    for image, pixels, *colours in zip(images, grey, left, right, strict=True):
        ground = np.empty(image.shape)
        ground[:, :middle], ground[:, middle:] = colours
        painted = pixels[..., None] + 255 * ground * (pixels != 255)[..., None]
        image[:] = np.minimum(painted, 255)
    return images
