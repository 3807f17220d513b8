"""A contact sheet: pictures with the outlines of their masks, for a person to judge."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

TILE = 192
COLUMNS = 6
GROUND = 32

Pixels = NDArray[np.uint8]


def contact_sheet(pictures: Iterable[tuple[Pixels, Pixels]]) -> Pixels:
    """Arrange pictures in rows of six square tiles, and draw the outline of each mask in magenta.

    Args:
        pictures: pairs of ``(H, W, 3)`` uint8 RGB image and ``(H, W)`` uint8 mask, at least one.

    Returns:
        ``(rows * 192, 6 * 192, 3)`` uint8 RGB.
    """
    tiles = [_tile(image, mask) for image, mask in pictures]
    tiles += [np.full((TILE, TILE, 3), GROUND, np.uint8)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def spread(items: Sequence[int], most: int) -> list[int]:
    """Select at most ``most`` of the items, at even distances."""
    count = min(most, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def _tile(image: Pixels, mask: Pixels) -> Pixels:
    height, width = image.shape[:2]
    scale = (TILE - 4) / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    foreground = (cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR) >= 128).astype(np.uint8)
    outlines, _ = cv2.findContours(foreground, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(small, outlines, -1, (0, 0, 0), 3)
    cv2.drawContours(small, outlines, -1, (255, 0, 255), 1)
    tile = np.full((TILE, TILE, 3), GROUND, np.uint8)
    top, left = (TILE - size[1]) // 2, (TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile
