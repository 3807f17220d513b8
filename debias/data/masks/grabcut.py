"""Foreground masks by GrabCut, from boxes or points that show where the object is."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

#: Longest side, in pixels, for GrabCut. Larger pictures are shrunk first, because the time grows
#: with the area.
SIDE = 320
ITERATIONS = 5
#: A cut must cover at least this share of the region that may contain the object. Otherwise GrabCut
#: found no object.
LEAST = 0.15
#: A cut must also be this many times as large as the certain foreground.
GROWTH = 1.5
#: Axes of the ellipse in the middle of a box, as a share of the box's sides. It is the certain
#: foreground of the second try, if the first finds no object.
MIDDLE = 0.35
#: Parts of the foreground smaller than this share of its largest part are removed as specks.
SPECK = 1 / 8
#: Distances beyond the hull of the points that the object probably reaches, and can reach at most,
#: as shares of the longer side of the points' bounding box.
NEAR, REACH = 0.2, 0.3
#: Least length of that longer side, as a share of the picture's shorter side. The box of a single
#: point has no size.
SPREAD = 0.25
#: Radius of certain foreground around each point, as a share of the same longer side.
CORE = 0.04

Pixels = NDArray[np.uint8]
Places = NDArray[np.float64]


class Made(NamedTuple):
    """A mask, and whether an object was found. If not, the mask has the shape of the hint.

    Attributes:
        mask: ``(H, W)`` uint8, 0 or 255.
        found: whether the mask is that of an object that was found.
    """

    mask: Pixels
    found: bool


def mask_from_boxes(image: Pixels, boxes: Places) -> Made:
    """Cut objects out of their boxes by GrabCut. All pixels outside the boxes are background.

    If GrabCut finds no object, a second try takes the middle of each box as certain foreground.

    Source: Rother et al., "GrabCut", SIGGRAPH 2004, as in OpenCV.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        boxes: ``(K, 4)`` float: left, top, width, height in pixels.

    Returns:
        The mask. It is the boxes themselves if GrabCut finds no object, or if the boxes leave no
        background to learn from.
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
    """Cut out the object on which some points lie, by GrabCut.

    Pixels near a point are certain foreground. Pixels far from the hull of the points are certain
    background.

    Source: Rother et al., "GrabCut", SIGGRAPH 2004, as in OpenCV.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        points: ``(K, 2)`` float: x and y in pixels.

    Returns:
        The mask. It is the slightly widened hull of the points if GrabCut finds no object. With
        fewer than five points it mostly finds none, because they show too few of the colours.
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
    """Widen the foreground of a mask by a margin of about ``radius`` pixels, at least one."""
    whole = max(1, round(radius))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * whole + 1, 2 * whole + 1))
    wider: Pixels = cv2.dilate(mask, kernel)
    return wider


def _cut(image: Pixels, seeds: Pixels) -> Pixels:
    """Mask of 0 and 1 by GrabCut, without specks. All 0 if it cannot be computed.

    GrabCut needs seeds of both foreground and background.
    """
    background = np.isin(seeds, (cv2.GC_BGD, cv2.GC_PR_BGD))
    if background.all() or not background.any():
        return np.zeros_like(seeds)
    cut = seeds.copy()
    # GrabCut starts with k-means, which draws from OpenCV's random generator of this thread
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
    large = np.flatnonzero(areas >= SPECK * areas[1:].max(initial=0))
    return np.isin(labels, large[large > 0]).astype(np.uint8)


def _made(image: Pixels, cut: Pixels, *, fallback: Pixels, region: Pixels, certain: Pixels) -> Made:
    found = bool(cut.sum() >= max(1, LEAST * region.sum(), GROWTH * certain.sum()))
    chosen = cut if found else fallback
    bright = chosen * np.uint8(255)
    enlarged = cv2.resize(bright, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return Made((enlarged >= 128) * np.uint8(255), found)
