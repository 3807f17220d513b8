"""SpuCoMNIST: classes of digits with a coloured ground or patch that predicts them in training."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import balanced, correlated, generator, held_out
from debias.data.made.colours import rainbow
from debias.data.made.digits import read_mnist
from debias.data.made.folder import MadePart, made
from debias.data.sets.arrays import arrays
from debias.errors import InputError, check_between, check_one_of

CLASSES = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
#: Pixels that are drawn for the difficulties of variance, in the square at the top left.
DRAWN = 49
#: Side of the square at the top left that has the colour, as a share of the side of the image.
SQUARES = {
    "magnitude_large": 1.0,
    "magnitude_medium": 4 / 28,
    "magnitude_small": 2 / 28,
    "variance_low": 7 / 28,
    "variance_medium": 14 / 28,
    "variance_high": 1.0,
}
#: Difficulties whose pixels are drawn again for each image.
SCATTERED = ("variance_medium", "variance_high")


def spuco_mnist(
    *,
    root: str = "data/mnist",
    difficulty: str = "magnitude_large",
    strength: float = 0.995,
    classes: list[list[int]] | None = None,
    val: int = 12000,
    seed: int = 0,
) -> Examples:
    """Digits in classes, with a colour per class on pixels of the ground.

    Of the n training images of a class, int(n * strength) have the own colour. The rest is spread
    evenly over the others. In validation and test all colours are equally frequent in every class.

    Source: Joshi et al., "Towards Mitigating Spurious Correlations in the Wild: A Benchmark and a
    more Realistic Dataset", 2023 (reference code BigML-CS-UCLA/SpuCo).

    Args:
        root: a folder with the four files of MNIST, as for ``biased_mnist``.
        difficulty: which pixels of the ground have the colour. ``magnitude_large``: all;
            ``magnitude_medium`` and ``magnitude_small``: 4 x 4 and 2 x 2 pixels at the top left.
            ``variance_low``: 7 x 7 pixels there; ``variance_medium`` and ``variance_high``: 49
            pixels drawn for each image among 14 x 14 there, or among all.
        strength: share of each class in its own colour.
        classes: the digits of each class. By default [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]].
            Digits of no class are left out.
        val: number of the 60,000 training images to hold out for validation, at least 1. Digits of
            no class are then left out.
        seed: seed of the colours, the drawn pixels and the held-out images.

    Returns:
        All splits. The bias is the colour, with the number of its class.

    Raises:
        ValueError: an option is out of range, or a file of MNIST is missing or damaged.

    Differs from the reference: there the validation rows are a fixed list of the package, which
    also seeds all generators of the process.
    """
    groups = [list(group) for group in CLASSES] if classes is None else classes
    digits = [digit for group in groups for digit in group]
    if len(set(digits)) < len(digits) or not all(groups) or not set(digits) <= set(range(10)):
        raise InputError(f"classes must be lists of different digits; got classes={groups}")
    check_one_of(tuple(SQUARES), {"difficulty": difficulty}, of="spuco_mnist")
    check_between("[0, 1]", {"strength": strength}, of="spuco_mnist")
    check_between("[1, 60000)", {"val": val}, of="spuco_mnist")
    recipe = {"difficulty": difficulty, "strength": float(strength)}
    recipe |= {"classes": ["".join(map(str, group)) for group in groups]}
    make = partial(_parts, root, difficulty, strength, groups, val, seed)
    return arrays(
        root=str(made(root, "spuco_mnist", recipe | {"val": val, "seed": seed}, make)),
        target_names=["-".join(map(str, group)) for group in groups],
        bias_names=[f"colour {number}" for number in range(len(groups))],
        aligned=[[number, number] for number in range(len(groups))],
    )


def _parts(
    root: str, difficulty: str, strength: float, classes: list[list[int]], val: int, seed: int
) -> list[MadePart]:
    number = np.full(10, -1)
    for label, group in enumerate(classes):
        number[group] = label
    train, test = read_mnist(root)
    out = held_out(train.labels, val, generator(seed, 0))
    parts, wheel = [], np.array(rainbow(len(classes)), np.uint8)
    for at, (file, rows, share) in enumerate(
        [(train, ~out, strength), (train, out, None), (test, test.labels >= 0, None)]
    ):
        kept = rows & (number[file.labels] >= 0)
        target = number[file.labels[kept]]
        colour = (
            balanced(target, len(classes), seed, at, 0)
            if share is None
            else correlated(target, share, len(classes), seed, at, 0)
        )
        images = _coloured(file.images[kept], wheel[colour], difficulty, seed, at)
        columns = {"target": target, "bias": colour, "split": np.full(len(target), SPLITS[at])}
        parts.append(MadePart(images, columns))
    return parts


def _coloured(
    grey: NDArray[np.uint8], rgb: NDArray[np.uint8], difficulty: str, seed: int, part: int
) -> NDArray[np.uint8]:
    images = np.repeat(grey[..., None], 3, axis=3)
    for row, (image, own) in enumerate(zip(images, rgb, strict=True)):
        ground = _pixels(image.shape[0], difficulty, generator(seed, part, row, 0, 2))
        image[ground & (image[..., 0] == 0)] = own
    return images


def _pixels(side: int, difficulty: str, rng: np.random.Generator) -> NDArray[np.bool_]:
    """``(side, side)`` bool: the pixels that have the colour, unless the digit covers them."""
    square = max(1, round(side * SQUARES[difficulty]))
    inner = np.ones(square * square, dtype=np.bool_)
    if difficulty in SCATTERED:
        inner[:] = False
        inner[rng.permutation(len(inner))[:DRAWN]] = True
    pixels = np.zeros((side, side), dtype=np.bool_)
    pixels[:square, :square] = inner.reshape(square, square)
    return pixels
