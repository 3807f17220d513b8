"""Picture files to arrays: every kind of picture becomes upright RGB, and a damaged one is an error, not half grey."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.errors import InputError

#: From this brightness on a value is no number of a class and no dark colour.
DARK = 128
#: A mask without foreground but with fewer values than these holds numbers of classes, and is not just soft.
FEWEST_SOFT = 32


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode one picture; greyscale, palette, CMYK, transparent, 16-bit and EXIF-rotated files are converted.

    Transparency is dropped (the colours beneath it stay), 16 bits lose the lower 8, and a picture that carries an
    EXIF orientation is turned upright.

    Args:
        path: a file of any format OpenCV reads (JPEG, PNG, BMP, GIF, TIFF, WebP).

    Returns:
        ``(H, W, 3)`` uint8, red first.

    Raises:
        ValueError: the file cannot be read, ends early, or is not a picture.
    """
    image: NDArray[np.uint8] = cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return image


def read_mask(path: Path, size: tuple[int, int], *, threshold: int = 128) -> NDArray[np.uint8]:
    """Decode one foreground mask; colours are read as their brightness, and 16 bits above 255 lose the lower 8.

    A mask of zeros and one other, dark value, such as 1 or a dark colour, is read as 0 and 255. It is
    turned upright by its own EXIF orientation, as its image is by the image's.

    Args:
        path: a file of any format OpenCV reads, best a greyscale PNG.
        size: height and width of the upright image it belongs to.
        threshold: brightness from which on the caller takes a pixel for foreground.

    Returns:
        ``(H, W)`` uint8 foreground, 0 to 255.

    Raises:
        ValueError: the file cannot be read, the mask has another size than its image, or it holds only a few values,
            below the threshold, that look like numbers of classes.
    """
    mask = _decode(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if mask.shape != size:
        raise InputError(
            f"mask {path} has width x height {mask.shape[1]}x{mask.shape[0]}, but its image, upright, {size[1]}x"
            f"{size[0]}: resize the mask to its image (after the image's EXIF rotation, if it has one)"
        )
    return _foreground(path, _eight_bits(path, mask), threshold)


def _eight_bits(path: Path, mask: NDArray[Any]) -> NDArray[np.uint8]:
    if mask.dtype not in (np.uint8, np.uint16):
        raise InputError(f"mask {path} holds {mask.dtype} numbers: save it as a greyscale PNG of 0 and 255")
    # the numbers of 8 bits, which may lie in 16, are left as they are
    return (mask >> 8 if mask.dtype == np.uint16 and np.max(mask) > 255 else mask).astype(np.uint8)


def _foreground(path: Path, mask: NDArray[np.uint8], threshold: int) -> NDArray[np.uint8]:
    """The mask as it is where it has a foreground; else what is not 0, if that is clearly meant."""
    if not 0 < np.max(mask) < min(threshold, DARK):
        return mask
    values = np.unique(mask[mask > 0]).tolist()
    if 1 < len(values) < FEWEST_SOFT:
        raise InputError(
            f"mask {path} has no foreground from {threshold} on, but values {', '.join(map(str, values))}, as numbers "
            "of classes or dark colours are: save it as 0 and 255 (all 0 if nothing was found), or `debias masks "
            "import` it with threshold=1, which takes all but 0"
        )
    return np.where(mask > 0, np.uint8(255), np.uint8(0)) if len(values) == 1 else mask


def _decode(path: Path, flag: int) -> NDArray[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read picture {path} ({error.strerror}): restore it or remove its row") from error
    if _ends_early(data):
        raise InputError(f"picture {path} is truncated ({len(data)} bytes): copy it again or remove its row")
    try:
        pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError(
            f"picture {path} ({len(data)} bytes) cannot be decoded: it is damaged or of an unknown format; "
            "copy it again, convert it to JPEG or PNG, or remove its row"
        )
    return pixels


def _ends_early(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; some versions of OpenCV decode such a file with its rest grey."""
    if data.startswith(b"\xff\xd8"):
        return data.find(b"\xff\xd9", _first_scan(data)) < 0
    return data.startswith(b"\x89PNG") and b"IEND" not in data[-1024:] and b"IEND" not in data


def _first_scan(data: bytes) -> int:
    """Where a JPEG's picture begins: behind its header, which may hold a thumbnail with an end of its own.

    Behind the picture's end there may be anything, such as the film of a phone's motion photo.
    """
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        filler = data[place + 1] == 0xFF
        place += 1 if filler else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place
