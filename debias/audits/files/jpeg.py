"""What the header of a JPEG tells of how it was saved: quality, subsampling, progressive order."""

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin
from PIL.JpegImagePlugin import JpegImageFile

#: Luminance table of annex K of the JPEG standard, row by row.
LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61),
        *(12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56),
        *(14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77),
        *(24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101),
        *(72, 92, 95, 98, 112, 100, 103, 99),
    ],
    np.int64,
)
#: Chroma subsampling by Pillow's number.
SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


def estimated_quality(table_sum: int) -> int:
    """The quality whose standard luminance table has the sum nearest to that of a file's table.

    libjpeg scales the standard table by ``5000 / q`` percent below quality 50, and by ``200 - 2 q``
    percent from there on, and limits entries to 1 to 255.

    Args:
        table_sum: sum of the 64 entries of a luminance table.

    Returns:
        A quality from 1 to 100; the highest of several.

    Example:
        >>> estimated_quality(int(LUMINANCE.sum()))
        50
    """
    distance = np.abs(_sums() - table_sum)
    return int(100 - distance[::-1].argmin())


@cache
def _sums() -> NDArray[np.int64]:
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None]
    tables = np.clip((LUMINANCE * scale + 50) // 100, 1, 255)
    sums: NDArray[np.int64] = tables.sum(axis=1)
    return sums


def jpeg_facts(image: JpegImageFile) -> dict[str, float | str]:
    """Quality, tables, subsampling and order of an opened JPEG, from its header."""
    tables = [list(table) for _, table in sorted(image.quantization.items())]
    digest = hashlib.sha256(repr(tables).encode()).hexdigest()[:6]
    sampling = SAMPLINGS.get(JpegImagePlugin.get_sampling(image), "other")
    order = "progressive" if image.info.get("progressive") else "baseline"
    quality = estimated_quality(sum(tables[0])) if tables else float("nan")
    return {
        "JPEG quality": quality,
        "JPEG tables": f"{quality} ({digest})" if tables else "",
        "chroma subsampling": "" if image.mode == "L" else sampling,
        "JPEG order": order,
    }
