"""The images of a data set in NumPy arrays: ``.npy`` files, or members of ``.npz`` files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debias.data.pictures.image_store import store_fingerprint
from debias.errors import InputError, near

#: Between the name of a file and that of an array in it, as in ``pathmnist.npz:train_images``.
MEMBER = ".npz:"


class ArrayImages:
    """Images in arrays. Each process opens the files itself, and maps ``.npy`` files into memory.

    Args:
        root: folder of the files.
        arrays: names of the arrays, as :func:`open_array` reads them.
        array: ``(N,)`` position in ``arrays`` of each image.
        position: ``(N,)`` row of each image in its array.

    Raises:
        ValueError: an array cannot be read, or does not hold images.
    """

    def __init__(
        self,
        root: Path,
        arrays: tuple[str, ...],
        array: NDArray[np.int64],
        position: NDArray[np.int64],
    ) -> None:
        self.root, self.arrays, self.array, self.position = root, arrays, array, position
        self.opened = [open_images(root, name) for name in arrays]

    def __reduce__(self) -> tuple[type[ArrayImages], tuple[Any, ...]]:
        return ArrayImages, (self.root, self.arrays, self.array, self.position)

    def read(self, row: int) -> NDArray[np.uint8]:
        """The image of a row, with three channels; see :func:`three_channels`."""
        return three_channels(self.opened[self.array[row]][self.position[row]])

    def fingerprint(self, row: int) -> bytes:
        """Name, size, time of change and blocks of the file, and where the image is in it."""
        name = self.arrays[self.array[row]]
        file, member = file_and_member(name)
        place = f"\0{member}\0{self.position[row]}".encode()
        return store_fingerprint(self.root, file) + place


def file_and_member(name: str) -> tuple[str, str]:
    """The file of an array, and its name in a ``.npz`` file, which is empty for other files.

    Example:
        >>> file_and_member("a/b.npz:c"), file_and_member("a/b.npy")
        (('a/b.npz', 'c'), ('a/b.npy', ''))
    """
    file, separator, member = name.partition(MEMBER)
    return (f"{file}.npz" if separator else file), member


def three_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image ``(H, W)`` or ``(H, W, C)`` as ``(H, W, 3)``.

    One channel is grey: it becomes all three. Two channels are red and green: blue is then 0.

    Example:
        >>> three_channels(np.full((1, 1), 7, np.uint8)).tolist()
        [[[7, 7, 7]]]
        >>> three_channels(np.array([[[5, 6]]], np.uint8)).tolist()
        [[[5, 6, 0]]]
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = pixels.shape[2]
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    if channels == 2:
        return np.pad(pixels, ((0, 0), (0, 0), (0, 1)))
    return np.array(pixels)


def open_images(root: Path, name: str) -> NDArray[np.uint8]:
    """An array of images, ``(N, H, W)`` or ``(N, H, W, C)`` uint8 with 1, 2 or 3 channels.

    Raises:
        ValueError: the array cannot be read, or has another shape or type.
    """
    array = open_array(root, name)
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or 0 in array.shape[1:3]:
        raise InputError(
            f"{root / name} holds {array.dtype} of shape {array.shape}: images must be uint8, of "
            "shape (N, H, W) or (N, H, W, channels)"
        )
    if array.ndim == 4 and array.shape[3] not in (1, 2, 3):
        moved = ", so save np.moveaxis(images, 1, 3)" if array.shape[1] in (1, 2, 3) else ""
        raise InputError(
            f"{root / name} has shape {array.shape}: the last axis must be 1, 2 or 3 channels"
            f"{moved}"
        )
    return array


def open_array(root: Path, name: str) -> NDArray[Any]:
    """One array of a file. ``.npy`` files are mapped into memory. No pickle is loaded.

    Args:
        root: folder of the file.
        name: path of a ``.npy`` file below ``root``, or ``FILE.npz:MEMBER``.

    Raises:
        ValueError: the file is missing, damaged or pickled, or has no such member.
    """
    file, member = file_and_member(name)
    if not (root / file).is_file():
        raise InputError(f"no file {root / file}: correct the path, or put the file there")
    with _told(root / file):
        if not member:
            found = np.load(root / file, mmap_mode="r", allow_pickle=False)
        else:
            with np.load(root / file, allow_pickle=False) as archive:
                if member not in archive.files:
                    known = near(member, archive.files)
                    raise InputError(f"{root / file} has no array {member!r}; {known}")
                found = archive[member]
    if not isinstance(found, np.ndarray):
        raise InputError(f"{root / file} holds several arrays: name one, as in {file}:train_images")
    array: NDArray[Any] = found
    return array


def array_names(path: Path) -> list[str]:
    """Names of the arrays of a ``.npz`` file, sorted.

    Raises:
        ValueError: it is damaged, or is no such file.
    """
    with _told(path), zipfile.ZipFile(path) as archive:
        return sorted(name.removesuffix(".npy") for name in archive.namelist())


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Make an error of NumPy about a file one about the user's file."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, EOFError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as NumPy arrays ({error})") from None
