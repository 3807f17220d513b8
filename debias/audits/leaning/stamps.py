"""Stamps: marks that belong to a class, such as a logo, a frame or a text, on other pictures."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.leaning.parts_of_pictures import Pictures

#: Cells on a side of the grid in which :func:`found_stamps` looks.
CELLS = 8


class Stamp(NamedTuple):
    """A mark and its place.

    Attributes:
        picture: ``(h, w, 3)`` uint8.
        opacity: ``(h, w)`` float in [0, 1].
        top: row of its upper edge.
        left: column of its left edge.
    """

    picture: NDArray[np.uint8]
    opacity: NDArray[np.float64]
    top: int
    left: int


def stamped(pictures: Pictures, stamp: Stamp) -> Pictures:
    """``(N, H, W, 3)`` pictures with a stamp over them."""
    height, width = stamp.opacity.shape
    cover = stamp.opacity[..., None]
    changed: Pictures = pictures.copy()
    below = changed[:, stamp.top : stamp.top + height, stamp.left : stamp.left + width]
    below[:] = (below * (1 - cover) + stamp.picture * cover).round()
    return changed


class FoundStamp(NamedTuple):
    """The place at which the pictures of one class are most alike and unlike all others.

    Attributes:
        target: the class.
        stamp: the mean of the class at this place.
        distance: how far this mean is from that of the others, in standard deviations.
    """

    target: int
    stamp: Stamp
    distance: float


def found_stamps(pictures: Pictures, target: NDArray[np.int64]) -> list[FoundStamp]:
    r"""For each class, the cell of an 8 x 8 grid that is most typical of it.

    .. math:: \text{distance} = \min_{p \in \text{cell}}
              \frac{\lVert \mu_{cp} - \mu_{\bar c p} \rVert}{\lVert \sigma_{cp} \rVert + 8}

    with mean and standard deviation of the class c (and the mean of the others) at each pixel, over
    the channels. The minimum is over the quarter of the cell's pixels with the greatest ratio. A
    logo, a stamp of a device or a frame lies at the same pixels in every picture, so that its
    standard deviation is near 0.

    Source: this project's choice, to give the watermark probe a stamp that the data offer.

    Args:
        pictures: ``(N, H, W, 3)`` uint8, of training.
        target: ``(N,)`` int64 classes.

    Returns:
        One stamp per class, greatest distance first.
    """
    found = []
    for one in np.unique(target).tolist():
        own, others = pictures[target == one], pictures[target != one]
        if len(own) > 1 and len(others):
            ratio = _ratio(own, others)
            top, left, height, width, value = max(_cells(ratio), key=lambda cell: cell[-1])
            cell = own[:, top : top + height, left : left + width]
            mean = cell.mean(axis=0).round().astype(np.uint8)
            stamp = Stamp(mean, np.ones((height, width)), top, left)
            found.append(FoundStamp(one, stamp, value))
    return sorted(found, key=lambda each: -each.distance)


def _ratio(own: Pictures, others: Pictures) -> NDArray[np.float64]:
    apart = own.mean(axis=0) - others.mean(axis=0)
    spread = own.std(axis=0)
    ratio: NDArray[np.float64] = np.linalg.norm(apart, axis=2) / (
        np.linalg.norm(spread, axis=2) + 8
    )
    return ratio


def _cells(ratio: NDArray[np.float64]) -> list[tuple[int, int, int, int, float]]:
    """Top, left, height and width of each cell, and the upper quartile of its ratios."""
    rows, columns = (np.linspace(0, side, CELLS + 1).round().astype(int) for side in ratio.shape)
    return [
        (top, left, low - top, right - left, float(np.quantile(ratio[top:low, left:right], 0.75)))
        for top, low in zip(rows.tolist(), rows[1:].tolist(), strict=False)
        for left, right in zip(columns.tolist(), columns[1:].tolist(), strict=False)
        if low > top and right > left
    ]
