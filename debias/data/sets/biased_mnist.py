"""Biased-MNIST: white digits on backgrounds whose colour predicts the digit in training."""

import csv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.data.examples import SPLITS, Examples
from debias.data.made.allocation import dealt, held_out
from debias.data.made.colours import COLOURS
from debias.data.made.digits import DIGITS, Digits, read_digits
from debias.data.sets.table import table
from debias.errors import InputError
from debias.files import made_whole
from debias.progress import each

UNBIASED = 0.1


def biased_mnist(
    *,
    root: str = "data/mnist",
    rho: float = 0.99,
    val: int = 5000,
    seed: int = 0,
    masks: str | None = None,
) -> Examples:
    """Biased-MNIST. The first call colours the digits of MNIST into a new folder below ``root``.

    Pixels that are 0 get the colour; all others become white. Of the n images of a digit,
    ``int(n * rho)`` get the digit's own colour. The rest is spread evenly over the nine other
    colours.

    Source: Bahng et al., "Learning De-biased Representations with Biased Representations", ICML
    2020; reference code clovaai/rebias.

    Args:
        root: a folder with the four files of MNIST (``train-images-idx3-ubyte`` and so on, also as
            ``.gz``). The files may also be in ``raw`` or ``MNIST/raw`` inside it.
        rho: share of each digit's training and validation images that have its own colour, in
            [0, 1].
        val: number of the 60,000 training images to hold out for validation, the same share of
            each digit, at least 10. They are as biased as the training images, so that no unbiased
            image is used for selection.
        seed: seed of the colours and of the held-out images, at least 0.
        masks: a folder of masks, ``<split>/<digit>/<image>.png``. By default there are no masks.

    Returns:
        All splits. The test split is that of MNIST, unbiased (rho 0.1). The target is the digit.
        The bias is the colour, with the number of the digit that it belongs to.

    Raises:
        ValueError: ``rho`` is not in [0, 1], ``val`` is below 10 or leaves no training image,
            ``seed`` is negative, or a file of MNIST is missing or damaged.

    Differs from the reference: there all 60,000 images are trained on, and the unbiased test set
    selects the epoch. Its colouring depends on a global random state. It deals the k conflicting
    images in portions of ceil(k / 9), so that some of the nine colours may get no image.
    """
    if not 0 <= rho <= 1 or val < len(DIGITS) or seed < 0:
        raise InputError(
            f"biased_mnist needs rho in [0, 1], val >= 10 and seed >= 0; got rho={rho}, val={val}, "
            f"seed={seed}"
        )
    # change this name whenever the pictures or their order change, so that an old folder is not
    # read as a new one
    folder = Path(root) / f"biased_mnist-rho{float(rho)}-val{val}-seed{seed}"
    if not folder.is_dir():
        _colour(Path(root), folder, rho, val, seed)
    return table(
        csv=str(folder / "metadata.csv"),
        masks=masks,
        target_names=list(DIGITS),
        bias_names=[name for name, _ in COLOURS],
        aligned=[[digit, digit] for digit in range(len(DIGITS))],
    )


def _colour(root: Path, folder: Path, rho: float, val: int, seed: int) -> None:
    train, test = read_digits(root, "train"), read_digits(root, "t10k")
    out = held_out(train.labels, val, np.random.default_rng([seed, len(SPLITS)]))
    parts = (_select(train, ~out), _select(train, out), test)
    with (
        made_whole(folder, shared=True) as draft,
        (draft / "metadata.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "target", "bias", "split"))
        for position, (split, part) in enumerate(zip(SPLITS, parts, strict=True)):
            share = UNBIASED if split == "test" else rho
            colours = _colours(part.labels, share, np.random.default_rng([seed, position]))
            writer.writerows(_written(draft, split, part, colours))


def _written(
    folder: Path, split: str, part: Digits, colours: NDArray[np.int64]
) -> Iterator[tuple[str, int, str, str]]:
    for digit in DIGITS:
        (folder / split / digit).mkdir(parents=True)
    labels = zip(part.images, part.labels.tolist(), colours.tolist(), strict=True)
    images = each(labels, f"colouring {split} digits", "digit", total=len(part.labels))
    for number, (image, digit, colour) in enumerate(images):
        name, rgb = COLOURS[colour]
        path = f"{split}/{digit}/{number:05d}.png"
        # OpenCV writes blue, green, red
        ground = np.array(rgb[::-1], dtype=np.uint8)
        picture = np.where(image[..., None] == 0, ground, np.uint8(255))
        (folder / path).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        yield path, digit, name, split


def _select(digits: Digits, rows: NDArray[np.bool_]) -> Digits:
    return Digits(digits.images[rows], digits.labels[rows])


def _colours(labels: NDArray[np.uint8], rho: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """``(N,)`` number of the colour of each image. A share ``rho`` gets the digit's own colour."""
    colours = np.empty(len(labels), dtype=np.int64)
    for digit in range(len(DIGITS)):
        rows = rng.permutation(np.flatnonzero(labels == digit))
        colours[rows] = dealt(len(rows), digit, rho, len(COLOURS), rng)
    return colours
