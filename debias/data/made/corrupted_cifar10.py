"""Corrupted CIFAR-10 of LfF: photos whose corruption predicts the object in training."""

from functools import partial

import numpy as np

from debias.data.examples import Examples
from debias.data.made.allocation import check_left, generator, in_row_order, skewed
from debias.data.made.cifar import CLASSES, Photos, read_cifar10
from debias.data.made.corruptions import corrupted
from debias.data.made.folder import MadePart, in_splits, made, without
from debias.data.sets.arrays import arrays
from debias.errors import check_between, check_one_of
from debias.progress import each

#: The corruption of each class, from airplane to truck, by type.
TYPES = (
    ("snow", "frost (drawn)", "fog", "brightness", "contrast", "spatter", "elastic", "jpeg",
     "pixelate", "saturate"),
    ("gaussian noise", "shot noise", "impulse noise", "speckle noise", "gaussian blur",
     "defocus blur", "glass blur", "motion blur", "zoom blur", "original"),
)  # fmt: skip
UNBIASED = 0.9


def corrupted_cifar10(
    *,
    root: str = "data/cifar10",
    type: int = 0,
    skew: float = 0.01,
    severity: int = 4,
    val: int = 5000,
    seed: int = 0,
    leave_out: int = 0,
) -> Examples:
    """CIFAR-10 with a corruption per class. The first call makes it, which takes minutes.

    The corruptions are given by the order of the rows, as the colours of ``coloured_mnist_lff``.
    Type 0 has snow, frost, fog, brightness, contrast, spatter, elastic, JPEG, pixelate and saturate
    for airplane to truck. Type 1 has four noises, five blurs, and no corruption.

    Source: Nam et al., "Learning from Failure", NeurIPS 2020 (reference code alinlab/LfF,
    ``make_dataset.py``).

    Args:
        root: a folder with CIFAR-10, as for ``cifar10``.
        type: 0 or 1.
        skew: share of each class with another corruption; 0.05, 0.02, 0.01 and 0.005 in the paper.
        severity: from 1 to 4. The corruptions have the strength ``severity + 1`` of CIFAR-10-C, as
            in the authors' code.
        val: number of training images to hold out for validation, as biased as the others. If it is
            0, validation has the images of the test split, as in the authors' code: set
            ``select=last``.
        seed: seed of the corruptions and of the held-out images.
        leave_out: number of training images that no split has. They are as biased as the others.

    Returns:
        All splits. The bias is the corruption, with the number of its class.

    Raises:
        ValueError: an option is out of range, or a file of CIFAR-10 is missing or damaged.

    Differs from the reference: frost is drawn, because its photos may not be passed on. The bias
    value is called "frost (drawn)". Motion is blurred without ImageMagick. There the draws have no
    seed.
    """
    check_one_of(range(len(TYPES)), {"type": type}, of="corrupted_cifar10")
    check_between("[0, 1]", {"skew": skew}, of="corrupted_cifar10")
    check_one_of(range(1, 5), {"severity": severity}, of="corrupted_cifar10")
    recipe = {"type": type, "skew": float(skew), "severity": severity, "val": val, "seed": seed}
    recipe |= {"leave_out": leave_out} if leave_out else {}  # as folders of before are called
    make = partial(_parts, root, type, skew, severity, val, seed, leave_out)
    return arrays(
        root=str(made(root, "corrupted_cifar10", recipe, make)),
        target_names=list(CLASSES),
        bias_names=list(TYPES[type]),
        aligned=[[label, label] for label in range(len(CLASSES))],
    )


def _parts(
    root: str, kind: int, skew: float, severity: int, val: int, seed: int, leave_out: int
) -> list[MadePart]:
    files = read_cifar10(root)
    check_left(len(files[0].images), {"val": val, "leave_out": leave_out})  # before minutes of work
    train, test = (
        _corrupted(photos, TYPES[kind], share, severity + 1, seed, number)
        for number, (photos, share) in enumerate(zip(files, (skew, UNBIASED), strict=True))
    )
    train = without(train, leave_out, seed=seed, by=train.columns["target"])
    return in_splits(train, test, val=val, seed=seed, by=train.columns["target"])


def _corrupted(
    photos: Photos, names: tuple[str, ...], skew: float, level: int, seed: int, number: int
) -> MadePart:
    values = in_row_order(photos.labels, skewed(len(CLASSES), skew))
    images = np.empty_like(photos.images)
    rows = each(range(len(images)), "corrupting photos", "photo")
    for row in rows:
        rng = generator(seed, number, row, 0)
        images[row] = corrupted(names[values[row]], photos.images[row], level, rng)
    return MadePart(images, {"target": photos.labels, "bias": np.array(names)[values]})
