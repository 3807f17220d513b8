"""FB-Biased-MNIST: the colours of the digit and of the ground both predict the digit."""

from functools import partial

import numpy as np

from debias.data.examples import Examples
from debias.data.made.allocation import correlated
from debias.data.made.colours import COLOURS
from debias.data.made.digits import DIGITS, Digits, read_mnist
from debias.data.made.folder import MadePart, in_splits, made
from debias.data.sets.arrays import arrays
from debias.data.tables.labels import bias_columns
from debias.errors import InputError, check_between

#: Name and (red, green, blue) of the digits' colours. A digit's own colour is the next one.
INKS = (
    ("light red", (255, 50, 50)), ("light green", (50, 255, 50)), ("light blue", (50, 50, 255)),
    ("light yellow", (225, 225, 50)), ("light magenta", (225, 50, 225)),
    ("light cyan", (50, 255, 255)), ("light orange", (255, 128, 50)),
    ("light rose", (255, 50, 128)), ("light violet", (128, 50, 255)), ("dark grey", (50, 50, 50)),
)  # fmt: skip
#: The colours of the digits, by the number of their digit.
OWN_INKS = (*INKS[1:], INKS[0])
ATTRIBUTES = ("background", "foreground")
UNBIASED = (0.1, 0.1)


def fb_biased_mnist(
    *,
    root: str = "data/mnist",
    bias: str | list[str] | None = None,
    rho: tuple[float, ...] = (0.99, 0.99),
    val: int = 5000,
    seed: int = 0,
) -> Examples:
    """Digits in one of ten colours on ground of one of ten colours; both predict the digit.

    Of the n images of a digit, int(n * rho) have the digit's own colour of ground, and independent
    of them int(n * rho) the own colour of the digit. The rest is spread evenly over the other
    colours.

    Source: Sarridis et al., "FLAC: Fairness-Aware Representation Learning by Suppressing
    Attribute-Class Associations", 2023 (reference code of VB-Mitigator, ``fb_biased_mnist.py``).

    Args:
        root: a folder with the four files of MNIST, as for ``biased_mnist``.
        bias: ``background``, ``foreground``, or both by default.
        rho: share of the training images of each digit in its own colours, of ground and of digit.
            Published: 0.9, 0.95 and 0.99, the same for both.
        val: number of training images to hold out, as for ``coloured_mnist_lff``.
        seed: seed of the colours and of the held-out images.

    Returns:
        All splits. The target is the digit. A bias value is a pair of colours. In the test split
        each colour has a tenth of each digit.

    Raises:
        ValueError: an option is out of range, or a file of MNIST is missing or damaged.

    Differs from the reference: there the k conflicting images are dealt in portions of ceil(k / 9),
    so that some colours may get no image. It keeps the colours of its first call in a file.
    """
    if len(rho) != len(ATTRIBUTES):
        raise InputError(f"rho must be two numbers, background and foreground; got rho={list(rho)}")
    check_between("[0, 1]", dict(zip(ATTRIBUTES, rho, strict=True)), of="rho")
    recipe = {"rho": list(rho), "val": val, "seed": seed}
    make = partial(_parts, root, tuple(rho), val, seed)
    names = {
        "background": [name for name, _ in COLOURS],
        "foreground": [name for name, _ in OWN_INKS],
    }
    chosen = bias_columns(bias) or list(ATTRIBUTES)
    pairs: list[list[int | str]] = [[digit, digit] for digit in range(len(DIGITS))]
    return arrays(
        root=str(made(root, "fb_biased_mnist", recipe, make)),
        bias=chosen,
        target_names=list(DIGITS),
        bias_names={name: names[name] for name in chosen if name in names},
        aligned=dict.fromkeys(chosen, pairs),
    )


def _parts(root: str, rho: tuple[float, ...], val: int, seed: int) -> list[MadePart]:
    train, test = (
        _coloured(file, share, seed, number)
        for number, (file, share) in enumerate(zip(read_mnist(root), (rho, UNBIASED), strict=True))
    )
    return in_splits(train, test, val=val, seed=seed, by=train.columns["target"])


def _coloured(file: Digits, rho: tuple[float, ...], seed: int, number: int) -> MadePart:
    ground, ink = (
        correlated(file.labels, share, len(COLOURS), seed, number, at)
        for at, share in enumerate(rho)
    )
    grounds, inks = (np.array([rgb for _, rgb in every], np.uint8) for every in (COLOURS, OWN_INKS))
    digit = (file.images > 0)[..., None]
    images = np.where(digit, inks[ink][:, None, None], grounds[ground][:, None, None])
    columns = {
        "target": file.labels,
        "background": np.array([name for name, _ in COLOURS])[ground],
        "foreground": np.array([name for name, _ in OWN_INKS])[ink],
    }
    return MadePart(images, columns)
