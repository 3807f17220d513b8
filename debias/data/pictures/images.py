"""Decodes picture files to upright RGB arrays and masks. A damaged file is an error."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

from debias.data.pictures.image_headers import JPEG, header_size
from debias.errors import InputError

#: Default of ``data.max_pixels``. A picture of this size has 300 MB when decoded.
MAX_PIXELS = 100_000_000
#: Values from this brightness on are neither class numbers nor dark colours.
DARK = 128
#: A mask without foreground and with fewer different values than this has class numbers. With more
#: values, it is a soft mask.
FEWEST_SOFT = 32


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode one picture of any kind: greyscale, palette, CMYK, transparent, 16-bit, rotated.

    Transparency is removed and the colours below it remain, except in a TIFF, which is read as on a
    black ground. Of 16 bits, the upper 8 are used. A picture with an EXIF orientation is turned
    upright.

    Args:
        path: a file of any format that OpenCV reads (JPEG, PNG, BMP, GIF, TIFF, WebP).
        max_pixels: the most pixels that the picture may have. The header is checked before
            decoding.

    Returns:
        ``(H, W, 3)`` uint8 in the order red, green, blue.

    Raises:
        ValueError: the file cannot be read, is truncated, is not a picture, has more than
            ``max_pixels`` pixels, or is a JPEG that libjpeg reports as corrupt. Damage is not
            detected if the data are still a valid JPEG.
    """
    return decode_image(_bytes(path), path, max_pixels=max_pixels)


def decode_image(
    data: bytes, name: Path | str, *, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode the bytes of a picture file, as :func:`read_image`.

    Args:
        data: all bytes of the file.
        name: what messages call the picture.
        max_pixels: as in :func:`read_image`.
    """
    if data.startswith(JPEG) and b"Exif\0" not in data:
        image = _plain_jpeg(data, name, max_pixels)
        if image is not None:
            return image
    pixels = _decode(data, name, cv2.IMREAD_COLOR, max_pixels)
    upright: NDArray[np.uint8] = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return upright


def pil_pixels(image: Image.Image) -> NDArray[Any]:
    """The pixels of a PIL image, turned upright. Of 16 bits, the upper 8 are used.

    Returns:
        ``(H, W, 3)`` uint8 in the order red, green, blue. The modes I and F have no range of
        numbers that is known, so they stay ``(H, W)`` int32 and float32.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F"):
        return np.array(upright)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return np.array(upright.convert("RGB"))


def read_mask(
    path: Path, size: tuple[int, ...], *, threshold: int = 128, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode one foreground mask to 8 bits.

    Colours become their brightness. If a 16-bit mask has values above 255, their upper 8 bits are
    used. A mask with zeros and one dark value, such as 1 or a dark colour, becomes 0 and 255. The
    mask is turned upright by its own EXIF orientation.

    Args:
        path: a file of any format that OpenCV reads, preferably a greyscale PNG.
        size: height and width of the image it belongs to, after the image's EXIF rotation.
        threshold: least brightness that the caller treats as foreground.
        max_pixels: as in :func:`read_image`.

    Returns:
        ``(H, W)`` uint8 mask, from 0 for background to 255 for foreground.

    Raises:
        ValueError: the file cannot be read, the mask has another size than its image, or it looks
            like class numbers: 2 to 31 values besides 0, all below the threshold and below 128.
    """
    mask = _decode(_bytes(path), path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH, max_pixels)
    if mask.shape != size:
        raise InputError(
            f"mask {path} has width x height {mask.shape[1]}x{mask.shape[0]}, but its image, "
            f"upright, {size[1]}x{size[0]}: resize the mask to the size of its image (after the "
            "EXIF rotation of the image, if it has one)"
        )
    return _foreground(path, _eight_bits(path, mask), threshold)


def _eight_bits(path: Path, mask: NDArray[Any]) -> NDArray[np.uint8]:
    if mask.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"mask {path} contains {mask.dtype} numbers: save it as a greyscale PNG of 0 and 255"
        )
    # a 16-bit file may contain values of 8 bits, which are already right
    return (mask >> 8 if mask.dtype == np.uint16 and np.max(mask) > 255 else mask).astype(np.uint8)


def _foreground(path: Path, mask: NDArray[np.uint8], threshold: int) -> NDArray[np.uint8]:
    """Set the only nonzero value of a mask to 255 if it is dark. Refuse class numbers."""
    if not 0 < np.max(mask) < min(threshold, DARK):
        return mask
    values = np.unique(mask[mask > 0]).tolist()
    if 1 < len(values) < FEWEST_SOFT:
        raise InputError(
            f"mask {path} has no foreground from {threshold} on, but values "
            f"{', '.join(map(str, values))}, which look like class numbers or dark colours: save "
            "it as 0 and 255 (all 0 if it has no object), or use `debias masks import` with "
            "threshold=1, so that all pixels but 0 are foreground"
        )
    return np.where(mask > 0, np.uint8(255), np.uint8(0)) if len(values) == 1 else mask


def _plain_jpeg(data: bytes, path: Path | str, max_pixels: int) -> NDArray[np.uint8] | None:
    """Decode a greyscale or YCbCr JPEG without EXIF data in one pass; ``None`` for any other file.

    OpenCV would need two passes, because it does not report damage. The pixels are the same.
    """
    stated = header_size(data)
    if stated is None or simplejpeg.decode_jpeg_header(data)[2] not in ("YCbCr", "GRAY"):
        return None
    _check_pixels(path, *stated, max_pixels)
    try:
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace="RGB")
    except ValueError as error:
        raise _damaged_jpeg(path, data, error) from None
    return image


def _decode(data: bytes, path: Path | str, flag: int, max_pixels: int) -> NDArray[Any]:
    stated = header_size(data)
    if stated is not None:
        _check_pixels(path, *stated, max_pixels)
        if data.startswith(JPEG):
            _check_jpeg(path, data)
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-1024:] and b"IEND" not in data:
        # some versions of OpenCV decode such a file and leave the missing part grey
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
            f"picture {path} ({len(data)} bytes) cannot be decoded: it is damaged or in an unknown "
            "format; copy it again, convert it to JPEG or PNG, or remove its row"
        )
    _check_pixels(path, pixels.shape[1], pixels.shape[0], max_pixels)
    return pixels


def _bytes(path: Path) -> bytes:
    try:
        # unbuffered reading takes half the time for a small file
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise InputError(
            f"cannot read picture {path} ({error.strerror}): restore it or remove its row"
        ) from error


def _check_pixels(path: Path | str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputError(
            f"picture {path} has {width:,} x {height:,} pixels, more than "
            f"data.max_pixels={max_pixels} in all: make it smaller, remove its row, or raise "
            "data.max_pixels"
        )


def _check_jpeg(path: Path | str, data: bytes) -> None:
    """Refuse a JPEG for which libjpeg gives a warning.

    OpenCV would decode such a file, with wrong colours or grey after the damage. The check reads
    all data, but computes only one eighth of the lines and columns.
    """
    space = "CMYK" if simplejpeg.decode_jpeg_header(data)[2] in ("CMYK", "YCCK") else "GRAY"
    try:
        simplejpeg.decode_jpeg(data, colorspace=space, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        raise _damaged_jpeg(path, data, error) from None


def _damaged_jpeg(path: Path | str, data: bytes, error: ValueError) -> InputError:
    return InputError(
        f"picture {path} ({len(data)} bytes) is truncated or damaged ({error}): copy it again "
        "or remove its row; if it looks whole, save it again"
    )
