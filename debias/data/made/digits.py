"""Reads the idx files of MNIST, and of data sets in its form such as Fashion-MNIST."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.data.listing import first_file
from debias.errors import InputError

DIGITS = tuple(str(digit) for digit in range(10))
#: Folders below the root that may hold the files of MNIST. The last is that of torchvision.
FOLDERS = ("", "raw", "MNIST/raw")

Bytes = NDArray[np.uint8]


class Digits(NamedTuple):
    """MNIST images ``(N, 28, 28)`` in grey, and their labels ``(N,)``, both uint8."""

    images: Bytes
    labels: Bytes


def read_digits(root: Path, part: str) -> Digits:
    """The images and labels of "train" or of the test part "t10k".

    Args:
        root: a folder with the four files of MNIST (``train-images-idx3-ubyte`` and so on, also as
            ``.gz``). The files may also be in ``raw`` or ``MNIST/raw`` inside it.
        part: begin of the names of the files.

    Raises:
        ValueError: a file is missing or damaged, or labels do not fit the images.
    """
    images, labels = _idx(root, f"{part}-images", 3), _idx(root, f"{part}-labels", 1)
    if len(images) != len(labels) or (len(labels) and np.max(labels) >= len(DIGITS)):
        raise InputError(
            f"{root} has {len(images)} images and {len(labels)} labels of {part}, the highest "
            f"{np.max(labels, initial=0)}: expected one label per image, from 0 to 9; fetch the "
            "files again"
        )
    return Digits(images, labels)


def _idx(root: Path, name: str, dimensions: int) -> Bytes:
    """Array of one idx file. Its header has two zeros, type 8 (bytes), dimensions and shape."""
    path = _find(root, f"{name}-idx{dimensions}-ubyte")
    content = _content(path)
    start = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", content[4:start]) if len(content) >= start else (0,)
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) != start + np.prod(
        shape, dtype=np.int64
    ):
        raise InputError(
            f"{path} is not a complete idx file of bytes in {dimensions} dimensions: fetch it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not a complete gzip file ({error}): fetch it again") from None


def _find(root: Path, name: str) -> Path:
    # some copies have a dot where the original has a hyphen
    dotted = name.replace("-idx", ".idx")
    names = (name, f"{name}.gz", dotted, f"{dotted}.gz")
    return first_file(
        (root / folder / file for folder in FOLDERS for file in names),
        absent=f"no {name} or {name}.gz in {root}, nor in raw or MNIST/raw inside it: put the "
        f"files there, or get them by `debias data get mnist root={root}` (or fashion_mnist)",
    )


def read_mnist(root: str) -> tuple[Digits, Digits]:
    """The images and labels of the training file and of the test file."""
    return read_digits(Path(root), "train"), read_digits(Path(root), "t10k")
