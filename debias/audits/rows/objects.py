"""Size, place, shape and colour of the objects in masks, as properties of images."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

#: Components of the foreground below this share of the picture are noise of the mask.
SMALLEST = 0.001
#: Width of the boundary of an object, where its gradient is that of its outline, ÷ the diagonal.
BOUNDARY = 0.02

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: The properties of the largest object, and those of all objects of a picture.
NAMES = (
    "object size",
    "object distance from the centre",
    "object width ÷ height",
    "object at the border",
    "object concavity",
    "object gradient",
    "number of objects",
    "similar colours of objects",
    "different sizes of objects",
)


class _Part(NamedTuple):
    """One object: its mask, its box (left, top, width, height), its area in pixels."""

    mask: Mask
    box: tuple[int, int, int, int]
    area: int


def object_properties(
    pictures: NDArray[np.uint8], masks: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    r"""Describe the objects of each picture by numbers. An object is a component of the foreground.

    Of the largest object: its share of the picture; the distance of the centre of its box from the
    centre of the picture, ÷ half the diagonal; width ÷ height of its box; whether it touches the
    border; its concavity, 1 - area ÷ area of its convex hull; and the mean gradient of the grey
    picture inside it, without its boundary, ÷ 255.

    Of all objects: their number, and, if there are several,

    .. math:: 1 - \frac{1}{255\sqrt 3} \,\overline{\lVert c_i - c_j \rVert}
              \quad\text{and}\quad \overline{| d_i - d_j |} \,/\, d,

    with mean colours c, diagonals :math:`d_i` of the boxes, and the diagonal d of the picture.

    Source: Yang and Yang, "Promising or Elusive? Unsupervised Object Segmentation from Real-world
    Single Images", NeurIPS 2022, vLAR-group/UnsupObjSeg.

    Args:
        pictures: ``(N, H, W, 3)`` uint8 RGB.
        masks: ``(N, H, W)`` bool foregrounds.

    Returns:
        ``(N,)`` float64 by name, in the order of ``NAMES``. A picture without object has zeros. A
        picture of a single object has similarity 1 and difference 0.

    Differs from the reference: the masks of one picture are the components of its foreground; the
    gradient is the length of the Sobel gradient, not the mean of its clipped parts; the hull has
    the area of its polygon.
    """
    table = [_describe(*pair) for pair in zip(pictures, masks, strict=True)]
    columns = np.array(table, dtype=np.float64).reshape(-1, len(NAMES)).T
    return dict(zip(NAMES, columns, strict=True))


def _describe(picture: Picture, mask: Mask) -> tuple[float, ...]:
    parts = _parts(mask)
    if not parts:
        return (0.0,) * len(NAMES)
    height, width = mask.shape
    part = max(parts, key=lambda one: one.area)
    left, top, across, down = part.box
    away = np.hypot(left + across / 2 - width / 2, top + down / 2 - height / 2)
    at_border = left == 0 or top == 0 or left + across == width or top + down == height
    largest = (part.area / mask.size, away / np.hypot(height, width) * 2, across / down, at_border)
    shape = (concavity(part.mask), inner_gradient(picture, part.mask))
    return (
        *largest,
        *shape,
        len(parts),
        _likeness(picture, parts),
        _spread(parts) / np.hypot(height, width),
    )


def _parts(mask: Mask) -> list[_Part]:
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    sizes = [(number, facts[number].tolist()) for number in range(1, count)]
    return [
        _Part(np.asarray(labels == number), (left, top, width, height), area)
        for number, (left, top, width, height, area) in sizes
        if area >= SMALLEST * mask.size
    ]


def concavity(mask: NDArray[np.bool_]) -> float:
    """1 - area ÷ area of the convex hull of the pixels, each a unit square; 0 if convex.

    Example:
        >>> bay = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
        >>> round(1 - concavity(bay), 4)  # 7 of 9 pixels
        0.7778
    """
    rows, columns = np.nonzero(mask)
    corners = [(columns + x, rows + y) for x in (0, 1) for y in (0, 1)]
    points = np.concatenate([np.stack(corner, axis=1) for corner in corners])
    hull = cv2.contourArea(cv2.convexHull(points.astype(np.float32)))
    return float(1 - len(rows) / hull)


def inner_gradient(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Mean length of the Sobel gradient of the grey picture inside an object, ÷ 255.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        mask: ``(H, W)`` bool; its boundary, 2 % of the diagonal wide, is left out.

    Returns:
        At least 0; 0 if the object is nothing but boundary.
    """
    width = max(1, round(BOUNDARY * float(np.hypot(*mask.shape))))
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1] > 0
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    slopes = [np.asarray(cv2.Sobel(grey, cv2.CV_32F, x, 1 - x, ksize=3)) for x in (1, 0)]
    length = np.linalg.norm(np.stack(slopes), axis=0)
    return float(length[inside].mean() / 255) if inside.any() else 0.0


def _likeness(picture: Picture, parts: list[_Part]) -> float:
    colours = np.stack([picture[part.mask].mean(axis=0) for part in parts])
    away = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    return 1 - _mean_of_pairs(away) / (255 * float(np.sqrt(3)))


def _spread(parts: list[_Part]) -> float:
    diagonals = np.array([np.hypot(*part.box[2:]) for part in parts])
    return _mean_of_pairs(np.abs(diagonals[:, None] - diagonals))


def _mean_of_pairs(matrix: NDArray[np.float64]) -> float:
    """Mean of the entries outside the diagonal; 0 without any."""
    pairs = len(matrix) * (len(matrix) - 1)
    return float(matrix.sum() / pairs) if pairs else 0.0
