"""Pictures with a map over them, or with a framed cell."""

import cv2
import numpy as np
from numpy.typing import NDArray

#: Opacity of a map where it is greatest.
COVER = 0.6


def overlaid(picture: NDArray[np.uint8], attention: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture ``(H, W, 3)`` under a map ``(h, w)`` in [0, 1], red where it is greatest."""
    size = picture.shape[1], picture.shape[0]
    heat = cv2.resize(attention, size, interpolation=cv2.INTER_LINEAR)
    levels = (heat * 255).round().clip(0, 255).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1]
    cover = COVER * np.asarray(heat)[..., None]
    blended: NDArray[np.uint8] = (picture * (1 - cover) + colours * cover).round().astype(np.uint8)
    return blended


def framed(picture: NDArray[np.uint8], cell: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A copy of a picture with a red frame around a cell (top, left, bottom, right)."""
    top, left, low, right = cell
    depth = max(1, round(min(picture.shape[:2]) / 64))
    inside = (
        slice(top + depth, max(low - depth, top)),
        slice(left + depth, max(right - depth, left)),
    )
    drawn: NDArray[np.uint8] = picture.copy()
    drawn[top:low, left:right] = (220, 30, 30)
    drawn[inside] = picture[inside]
    return drawn
