"""Reads the width and height of a picture from the header of its file, without decoding it."""

import struct
from collections.abc import Iterator

import simplejpeg

JPEG = b"\xff\xd8"
#: For each format: its first bytes, the offset of width and height, and their struct layout.
_FIXED = ((b"\x89PNG\r\n\x1a\n", 16, ">II"), (b"GIF8", 6, "<HH"), (b"BM", 18, "<ii"))
#: Tags of a TIFF directory, and the struct layouts of its integer types.
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_TYPES = {3: "H", 4: "I"}


def header_size(data: bytes) -> tuple[int, int] | None:
    """Read width and height from the header of a JPEG, PNG, GIF, BMP, WebP or TIFF file.

    Args:
        data: all bytes of the file.

    Returns:
        ``(width, height)`` before any EXIF rotation. It is ``None`` if the format is another or the
        header is damaged.
    """
    try:
        if data.startswith(JPEG):
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            return width, height
        for start, place, layout in _FIXED:
            if data.startswith(start):
                width, height = struct.unpack_from(layout, data, place)
                return abs(width), abs(height)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
        return _tiff(data) if data[:4] in (b"II*\0", b"MM\0*") else None
    except (struct.error, KeyError, ValueError):
        return None


def _webp(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(data: bytes) -> tuple[int, int]:
    tags = dict(_tiff_tags(data, "<" if data.startswith(b"II") else ">"))
    return tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]


def _tiff_tags(data: bytes, order: str) -> Iterator[tuple[int, int]]:
    """Yield tag and value of each integer entry in the first directory of a TIFF file."""
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, directory)
    for place in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, place)
        if kind in _TIFF_TYPES:
            yield tag, struct.unpack_from(order + _TIFF_TYPES[kind], data, place + 8)[0]
