"""Picture files to arrays: every kind of picture becomes upright RGB, and a damaged one is an
error, not half grey.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from debias.data.pictures.image_headers import JPEG, header_size
from debias.errors import InputError

#: Pixels that a picture may have unless ``data.max_pixels`` says otherwise: 300 MB once it is
#: decoded.
MAX_PIXELS = 100_000_000
#: From this brightness on a value is no number of a class and no dark colour.
DARK = 128
#: A mask without foreground but with fewer values than these holds numbers of classes, and is not
#: just soft.
FEWEST_SOFT = 32


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode one picture of any kind: greyscale, palette, CMYK, transparent, 16-bit, rotated.

    Transparency is dropped (the colours beneath it stay), 16 bits lose the lower 8, and a picture
    that carries an EXIF orientation is turned upright.

    Args:
        path: a file of any format OpenCV reads (JPEG, PNG, BMP, GIF, TIFF, WebP).
        max_pixels: the most pixels that the picture may have. The header is asked, before anything
            is decoded.

    Returns:
        ``(H, W, 3)`` uint8, red first.

    Raises:
        ValueError: the file cannot be read, ends early, is not a picture, or has too many pixels;
            or it is a JPEG whose data libjpeg calls corrupt. Damage after which the data are still
            a valid JPEG cannot be seen.
    """
    image: NDArray[np.uint8] = cv2.cvtColor(
        _decode(path, cv2.IMREAD_COLOR, max_pixels), cv2.COLOR_BGR2RGB
    )
    return image


def read_mask(
    path: Path, size: tuple[int, ...], *, threshold: int = 128, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode one foreground mask; colours are read as their brightness, and 16 bits above 255 lose
    the lower 8.

    A mask of zeros and one other, dark value, such as 1 or a dark colour, is read as 0 and 255. It
    is turned upright by its own EXIF orientation, as its image is by the image's.

    Args:
        path: a file of any format OpenCV reads, best a greyscale PNG.
        size: height and width of the upright image it belongs to.
        threshold: brightness from which on the caller takes a pixel for foreground.
        max_pixels: as in :func:`read_image`.

    Returns:
        ``(H, W)`` uint8 foreground, 0 to 255.

    Raises:
        ValueError: the file cannot be read, the mask has another size than its image, or it holds
            only a few values, below the threshold, that look like numbers of classes.
    """
    mask = _decode(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH, max_pixels)
    if mask.shape != size:
        raise InputError(
            f"mask {path} has width x height {mask.shape[1]}x{mask.shape[0]}, but its image, "
            f"upright, {size[1]}x{size[0]}: resize the mask to its image (after the image's EXIF "
            "rotation, if it has one)"
        )
    return _foreground(path, _eight_bits(path, mask), threshold)


def _eight_bits(path: Path, mask: NDArray[Any]) -> NDArray[np.uint8]:
    if mask.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"mask {path} holds {mask.dtype} numbers: save it as a greyscale PNG of 0 and 255"
        )
    # the numbers of 8 bits, which may lie in 16, are left as they are
    return (mask >> 8 if mask.dtype == np.uint16 and np.max(mask) > 255 else mask).astype(np.uint8)


def _foreground(path: Path, mask: NDArray[np.uint8], threshold: int) -> NDArray[np.uint8]:
    """The mask as it is where it has a foreground; else what is not 0, if that is clearly meant."""
    if not 0 < np.max(mask) < min(threshold, DARK):
        return mask
    values = np.unique(mask[mask > 0]).tolist()
    if 1 < len(values) < FEWEST_SOFT:
        raise InputError(
            f"mask {path} has no foreground from {threshold} on, but values "
            f"{', '.join(map(str, values))}, as numbers of classes or dark colours are: save it as "
            "0 and 255 (all 0 if nothing was found), or `debias masks import` it with "
            "threshold=1, which takes all but 0"
        )
    return np.where(mask > 0, np.uint8(255), np.uint8(0)) if len(values) == 1 else mask


def _decode(path: Path, flag: int, max_pixels: int) -> NDArray[Any]:
    data = _bytes(path)
    stated = header_size(data)
    if stated is not None:
        _check_pixels(path, *stated, max_pixels)
        if data.startswith(JPEG):
            _check_jpeg(path, data)
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-1024:] and b"IEND" not in data:
        # some versions of OpenCV decode such a file with its rest grey
        raise InputError(
            f"picture {path} is truncated ({len(data)} bytes): copy it again or remove its row"
        )
    try:
        pixels: NDArray[Any] | None = (
            cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
        )
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError(
            f"picture {path} ({len(data)} bytes) cannot be decoded: it is damaged or of an unknown "
            "format; copy it again, convert it to JPEG or PNG, or remove its row"
        )
    _check_pixels(path, pixels.shape[1], pixels.shape[0], max_pixels)
    return pixels


def _bytes(path: Path) -> bytes:
    try:
        # unbuffered, which takes half the time for a small file
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise InputError(
            f"cannot read picture {path} ({error.strerror}): restore it or remove its row"
        ) from error


def _check_pixels(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputError(
            f"picture {path} has {width:,} x {height:,} pixels, more than "
            f"data.max_pixels={max_pixels} in all: make it smaller, remove its row, or raise "
            "data.max_pixels"
        )


def _check_jpeg(path: Path, data: bytes) -> None:
    """Refuse a JPEG that libjpeg warns of; OpenCV decodes such a file, from the damage on with
    wrong colours or grey.

    All of the data are read, but only an eighth of the lines and columns is computed.
    """
    space = "CMYK" if simplejpeg.decode_jpeg_header(data)[2] in ("CMYK", "YCCK") else "GRAY"
    try:
        simplejpeg.decode_jpeg(data, colorspace=space, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        raise InputError(
            f"picture {path} ({len(data)} bytes) is truncated or damaged ({error}): copy it again "
            "or remove its row; if it looks whole, save it again"
        ) from None
