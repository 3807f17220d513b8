"""Picture files to arrays: every kind of picture becomes upright RGB, and a damaged one is an error, not half grey."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


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


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode one foreground mask; a mask of zeros and ones is read as 0 and 255, colours as their brightness.

    It is turned upright by its own EXIF orientation, as its image is by the image's.

    Args:
        path: a file of any format OpenCV reads, best a greyscale PNG.
        size: height and width of the upright image it belongs to.

    Returns:
        ``(H, W)`` uint8 foreground, 0 to 255.

    Raises:
        ValueError: the file cannot be read, or the mask has another size than its image.
    """
    mask: NDArray[np.uint8] = _decode(path, cv2.IMREAD_GRAYSCALE)
    if mask.shape != size:
        raise ValueError(
            f"mask {path} has width x height {mask.shape[1]}x{mask.shape[0]}, but its image, upright, {size[1]}x"
            f"{size[0]}: resize the mask to its image (after the image's EXIF rotation, if it has one)"
        )
    return mask * np.uint8(255) if np.max(mask) == 1 else mask


def _decode(path: Path, flag: int) -> NDArray[np.uint8]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read picture {path} ({error.strerror}): restore it or remove its row") from error
    if _ends_early(data):
        raise ValueError(f"picture {path} is truncated ({len(data)} bytes): copy it again or remove its row")
    try:
        pixels: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError(
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
