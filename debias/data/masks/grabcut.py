"""Foreground masks from hints of where the object is, by GrabCut."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

#: Longer side, in pixels, at which pictures are cut; larger ones are shrunk for it, as the time
#: grows with the area.
SIDE = 320
ITERATIONS = 5
#: A cut with a smaller share of the region that the object may lie in has found nothing.
LEAST = 0.15
#: So has one that is hardly larger than what was foreground for certain.
GROWTH = 1.5
#: Where a box's cut finds nothing: the axes of the ellipse in its middle that is then taken for
#: foreground, as a share of the box's sides.
MIDDLE = 0.35
#: Parts of the foreground smaller than this share of its largest part are specks.
SPECK = 1 / 8
#: How far beyond the hull of its points an object probably reaches, and may reach, as shares of the
#: longer side of their box.
NEAR, REACH = 0.2, 0.3
#: Least longer side of that box, as a share of the picture's shorter side: a single point has none.
SPREAD = 0.25
#: Radius around each point that is foreground for certain, as a share of the longer side of their
#: box.
CORE = 0.04

Pixels = NDArray[np.uint8]
Places = NDArray[np.float64]


class Made(NamedTuple):
    """A mask ``(H, W)`` uint8, 0 or 255; and whether it was found or has the hint's shape."""

    mask: Pixels
    found: bool


def mask_from_boxes(image: Pixels, boxes: Places) -> Made:
    """Cut the objects out of their boxes: outside is background, inside GrabCut decides.

    Where it then finds nothing, it is tried once more with the middle of each box as foreground for
    certain.

    Source: Rother et al., "GrabCut", SIGGRAPH 2004, as in OpenCV.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        boxes: ``(K, 4)`` float: left, top, width, height in pixels.

    Returns:
        The mask; the boxes themselves where GrabCut finds nothing, or they leave no background to
        learn from.
    """
    small, scale = _shrunk(image)
    inside, middle = np.zeros(small.shape[:2], np.uint8), np.zeros(small.shape[:2], np.uint8)
    for left, top, width, height in boxes * scale:
        corner, end = (round(left), round(top)), (round(left + width) - 1, round(top + height) - 1)
        cv2.rectangle(inside, corner, (max(corner[0], end[0]), max(corner[1], end[1])), 1, -1)
        centre = round(left + (width - 1) / 2), round(top + (height - 1) / 2)
        axes = round(MIDDLE * width / 2), round(MIDDLE * height / 2)
        cv2.ellipse(middle, centre, axes, 0, 0, 360, 1, -1)
    seeds = np.where(inside == 1, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    for certain in (np.zeros_like(inside), middle & inside):
        seeds[certain == 1] = cv2.GC_FGD
        made = _made(image, _cut(small, seeds), fallback=inside, region=inside, certain=certain)
        if made.found:
            break
    return made


def mask_from_points(image: Pixels, points: Places) -> Made:
    """Cut out the object that some points lie on: near them it is for certain, far from their hull
    it is not.

    Source: Rother et al., "GrabCut", SIGGRAPH 2004, as in OpenCV.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        points: ``(K, 2)`` float: x and y in pixels.

    Returns:
        The mask; the points' hull, a little widened, where GrabCut finds nothing. From fewer than
        five it mostly does: they say too little of the object's colours.
    """
    small, scale = _shrunk(image)
    points = points * scale
    spread = max(np.max(np.ptp(points, axis=0)), SPREAD * min(small.shape[:2]))
    hull = np.zeros(small.shape[:2], np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points.round().astype(np.int32)), 1)
    core = np.zeros_like(hull)
    for x, y in points.round().astype(int).tolist():
        cv2.circle(core, (x, y), max(1, round(CORE * spread)), 1, -1)
    hull |= core
    region = widened(hull, REACH * spread)
    seeds = np.where(region == 1, cv2.GC_PR_BGD, cv2.GC_BGD)
    seeds = np.where(widened(hull, NEAR * spread) == 1, cv2.GC_PR_FGD, seeds)
    seeds = np.where(core == 1, cv2.GC_FGD, seeds).astype(np.uint8)
    fallback = widened(hull, CORE * spread)
    return _made(image, _cut(small, seeds), fallback=fallback, region=hull, certain=core)


def _shrunk(image: Pixels) -> tuple[Pixels, float]:
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return image, 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: Pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small, scale


def widened(mask: Pixels, radius: float) -> Pixels:
    """The mask with a margin of about ``radius`` pixels, at least one, around its foreground."""
    whole = max(1, round(radius))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * whole + 1, 2 * whole + 1))
    wider: Pixels = cv2.dilate(mask, kernel)
    return wider


def _cut(image: Pixels, seeds: Pixels) -> Pixels:
    """0 or 1 for each pixel, without specks; all 0 where there is nothing to tell apart."""
    background = np.isin(seeds, (cv2.GC_BGD, cv2.GC_PR_BGD))
    if background.all() or not background.any():
        return np.zeros_like(seeds)
    cut = seeds.copy()
    # GrabCut starts from k-means, which draws from the generator of the thread
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(image, cut, None, *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # one of the two colour models ran empty
        return np.zeros_like(seeds)
    return _without_specks(np.isin(cut, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8))


def _without_specks(mask: Pixels) -> Pixels:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA]
    kept = np.flatnonzero(areas >= SPECK * areas[1:].max(initial=0))
    return np.isin(labels, kept[kept > 0]).astype(np.uint8)


def _made(image: Pixels, cut: Pixels, *, fallback: Pixels, region: Pixels, certain: Pixels) -> Made:
    found = bool(cut.sum() >= max(1, LEAST * region.sum(), GROWTH * certain.sum()))
    chosen = cut if found else fallback
    bright = chosen * np.uint8(255)
    enlarged = cv2.resize(bright, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return Made((enlarged >= 128) * np.uint8(255), found)
