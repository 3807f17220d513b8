"""Where the images of a data set are, by row: files in a folder, or anything that gives pixels."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from debias.data.pictures.images import MAX_PIXELS, read_image
from debias.errors import InputError

#: Blocks of a file of many images that are read to identify it, and the bytes of each.
BLOCKS, BLOCK_BYTES = 8, 2**14


class ImageStore(Protocol):
    """The images of a data set. Loader processes receive a copy of the store."""

    def read(self, row: int) -> NDArray[np.uint8]:
        """The ``(H, W, 3)`` uint8 RGB image of a row, the same at every call.

        Raises:
            ValueError: the image is missing or damaged.
        """

    def fingerprint(self, row: int) -> bytes:
        """Bytes that differ if the image of the row has changed. They are found without decoding.

        The key of a picture cache contains them.

        Raises:
            ValueError: the image is missing.
        """


@dataclass(frozen=True)
class ImageFolder:
    """Image files below one folder.

    Args:
        root: the folder.
        paths: N paths relative to ``root``, posix style.
        max_pixels: the most pixels that an image may have.
    """

    root: Path
    paths: tuple[str, ...]
    max_pixels: int = MAX_PIXELS

    def read(self, row: int) -> NDArray[np.uint8]:
        """Decode the image of a row; see :func:`debias.data.pictures.images.read_image`."""
        return read_image(self.root / self.paths[row], max_pixels=self.max_pixels)

    def fingerprint(self, row: int) -> bytes:
        """Path, file size and time of change of the image of a row."""
        return file_fingerprint(self.root, self.paths[row])


def file_fingerprint(folder: Path, name: str) -> bytes:
    """Path, file size and time of change of a file.

    Raises:
        ValueError: there is no such file.
    """
    try:
        # a Path object per file would double the time for a million files
        status = os.stat(f"{folder}/{name}")
    except OSError as error:
        raise InputError(
            f"cannot find picture {folder / name} ({error.strerror}): restore it or remove its row"
        ) from error
    return f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}".encode()


def store_fingerprint(folder: Path, name: str) -> bytes:
    """The same for a file that has many images, and a hash of evenly spaced blocks of its content.

    Two such files of an archive may have the same name, size and time. For single images, reading
    blocks of each would take minutes on a slow disk.

    Raises:
        ValueError: there is no such file.
    """
    fingerprint = file_fingerprint(folder, name)
    return fingerprint + b"\0" + _blocks(f"{folder}/{name}", fingerprint)


@cache
def _blocks(path: str, fingerprint: bytes) -> bytes:
    """Hash of some blocks, from the first to the last. They are read again after a change."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        last = max(0, file.seek(0, os.SEEK_END) - BLOCK_BYTES)
        for number in range(BLOCKS):
            file.seek(number * last // (BLOCKS - 1))
            digest.update(file.read(BLOCK_BYTES))
    return digest.digest()
