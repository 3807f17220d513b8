"""Where the images of a data set are, by row: files in a folder, or anything that gives pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from debias.data.pictures.images import MAX_PIXELS, read_image
from debias.errors import InputError


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
