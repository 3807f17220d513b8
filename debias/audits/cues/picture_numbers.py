"""The rungs that are a few numbers of a picture: colours, places and gradients, without a network.

Every function takes ``(N, S, S, 3)`` uint8 pictures and ``(N, S, S)`` bool masks, and returns
``(N, d)`` float32 numbers. Functions of whole pictures do not read the masks.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Numbers = NDArray[np.float32]

#: A mask grows by this many pixels before the background is read, to cover the object's edge.
MARGIN = 3


def mean_colour(pictures: Pixels, masks: Masks | None = None) -> Numbers:
    """``(N, 3)``: mean of each channel, in [0, 1].

    Example:
        >>> mean_colour(np.full((1, 4, 4, 3), 51, np.uint8)).astype(float).round(3).tolist()
        [[0.2, 0.2, 0.2]]
    """
    return np.asarray(pictures.mean(axis=(1, 2)) / 255, np.float32)


def colours(pictures: Pixels, masks: Masks | None = None) -> Numbers:
    """``(N, 64)``: square roots of the shares of a 4x4x4 histogram of red, green and blue.

    With square roots, a linear probe compares histograms by their Hellinger affinity.
    """
    return _histograms(pictures, np.ones(pictures.shape[:3], bool))


def layout(pictures: Pixels, masks: Masks | None = None) -> Numbers:
    """``(N, 48)``: the picture averaged to 4x4 pixels, in [0, 1]: colours and their places."""
    return (averaged(pictures, 4).reshape(len(pictures), -1) / 255).astype(np.float32)


def averaged(pictures: NDArray[Any], side: int) -> NDArray[Any]:
    """Pictures or maps ``(N, H, W, ...)``, averaged to ``(N, side, side, ...)``."""
    size = (side, side)
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in pictures])


def corners(pictures: Pixels, masks: Masks | None = None) -> Numbers:
    """``(N, 16)``: how the four corners differ from the whole picture: logos, dates, marks.

    A corner is a square with an eighth of the picture's side. Its numbers are its mean of each
    channel and its contrast, minus those of the picture, in [-1, 1]. Contrast is the standard
    deviation of the grey values.
    """
    side = max(pictures.shape[1] // 8, 1)
    first, last, whole = slice(None, side), slice(-side, None), slice(None)
    places = [(rows, columns) for rows in (first, last) for columns in (first, last)]
    parts = [_colour_and_contrast(pictures[:, y, x]) for y, x in (*places, (whole, whole))]
    return np.asarray(np.hstack([part - parts[-1] for part in parts[:-1]]) / 255, np.float32)


def gradient(pictures: Pixels, masks: Masks | None = None) -> Numbers:
    """``(N, 1)``: mean logarithm of 1 + the gradient in grey levels per pixel: low if smooth."""
    return _mean_where(np.log1p(gradients(pictures)), np.ones(pictures.shape[:3], bool))


def statistics(pictures: Pixels, masks: Masks | None = None) -> Numbers:
    """``(N, 129)``: colours, gradient, layout and corners: all numbers of the whole picture."""
    return np.hstack([part(pictures) for part in (colours, gradient, layout, corners)])


def hog(pictures: Pixels, masks: Masks | None = None) -> Numbers:
    """``(N, 441)``: histograms of oriented gradients, 9 directions on a 7x7 grid, of length 1."""
    numbers = np.stack([_oriented(one) for one in grey(pictures)])
    norms = np.linalg.norm(numbers, axis=1, keepdims=True)
    return np.asarray(numbers / np.maximum(norms, 1e-6), np.float32)


def background_statistics(pictures: Pixels, masks: Masks) -> Numbers:
    """``(N, 65)``: colours and gradient outside the grown mask; 0 if nothing is."""
    return _statistics_where(pictures, ~grown(masks))


def background_gradient(pictures: Pixels, masks: Masks) -> Numbers:
    """``(N, 1)``: :func:`gradient` over the pixels outside the grown mask; 0 if there is none."""
    return _mean_where(np.log1p(gradients(pictures)), ~grown(masks))


def foreground_statistics(pictures: Pixels, masks: Masks) -> Numbers:
    """``(N, 65)``: colours and gradient inside the shrunken mask; 0 if nothing is."""
    return _statistics_where(pictures, ~grown(~masks))


def box(pictures: Pixels, masks: Masks) -> Numbers:
    """``(N, 4)``: centre, width and height of the mask's bounding box, as shares of the side.

    A picture without foreground has the centre 0.5 and the size 0.

    Example:
        >>> mask = np.zeros((1, 4, 4), bool)
        >>> mask[0, 1:3, 2:] = True
        >>> box(np.zeros((1, 4, 4, 3), np.uint8), mask).tolist()  # x, y, width, height
        [[0.75, 0.5, 0.5, 0.5]]
    """
    sides = []
    for axis in (1, 2):  # over the rows: which columns are occupied; then the reverse
        occupied: NDArray[np.bool_] = np.any(masks, axis=axis)
        size = occupied.shape[1]
        first, last = occupied.argmax(axis=1), size - occupied[:, ::-1].argmax(axis=1)
        some = occupied.any(axis=1)
        sides.append((np.where(some, (first + last) / 2 / size, 0.5), some * (last - first) / size))
    (x, width), (y, height) = sides
    return np.stack([x, y, width, height], axis=1).astype(np.float32)


def grey(pictures: Pixels) -> Pixels:
    """``(N, H, W)`` uint8 luminance: 0.299 red, 0.587 green, 0.114 blue."""
    flat = cv2.cvtColor(pictures.reshape(-1, pictures.shape[2], 3), cv2.COLOR_RGB2GRAY)
    result: Pixels = flat.reshape(pictures.shape[:3])
    return result


def gradients(pictures: Pixels) -> NDArray[np.float32]:
    """``(N, S, S)`` length of the gradient of the grey picture, in grey levels per pixel."""
    return np.stack([vector_lengths(*_slopes(one)) for one in grey(pictures)])


def grown(masks: Masks) -> Masks:
    """``(N, S, S)``: masks that are larger by ``MARGIN`` pixels in every direction."""
    kernel = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    larger = [cv2.dilate(mask.astype(np.uint8), kernel).astype(bool) for mask in masks]
    return np.stack(larger) if larger else masks


def _colour_and_contrast(part: Pixels) -> NDArray[np.float64]:
    return np.hstack([part.mean(axis=(1, 2)), grey(part).std(axis=(1, 2))[:, None]])


def vector_lengths(across: NDArray[np.float32], down: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lengths of vectors. Those of ``cv2.magnitude`` depend on where arrays lie in memory."""
    return np.asarray(np.sqrt(across * across + down * down))


def _slopes(one: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Differences to the next pixel on the right and below; 0 at the border."""
    values = one.astype(np.float32)
    right, down = np.zeros_like(values), np.zeros_like(values)
    np.subtract(values[:, 1:], values[:, :-1], out=right[:, :-1])
    np.subtract(values[1:], values[:-1], out=down[:-1])
    return right, down


def _oriented(one: Pixels) -> NDArray[np.float64]:
    """``(441,)``: total length of the gradients of each direction in each cell of a 7x7 grid."""
    right, down = _slopes(one)
    turn = np.minimum(np.mod(np.arctan2(down, right), np.pi) * (9 / np.pi), 8).astype(np.int64)
    row, column = (np.arange(side) * 7 // side for side in one.shape)
    place = (row[:, None] * 7 + column) * 9 + turn
    weights = vector_lengths(right, down).ravel()
    return np.asarray(np.bincount(place.ravel(), weights=weights, minlength=441), np.float64)


def _statistics_where(pictures: Pixels, where: Masks) -> Numbers:
    return np.hstack(
        [_histograms(pictures, where), _mean_where(np.log1p(gradients(pictures)), where)]
    )


def _histograms(pictures: Pixels, where: Masks) -> Numbers:
    """``(N, 64)``: roots of the histogram over the pixels of ``where``; 0 if there is none."""
    quarter = pictures >> 6
    cell = (quarter[..., 0] << 4) | (quarter[..., 1] << 2) | quarter[..., 2]
    counts = [
        np.bincount(one[inside], minlength=64) for one, inside in zip(cell, where, strict=True)
    ]
    sizes = np.maximum(where.sum(axis=(1, 2)), 1)[:, None]
    return np.asarray(np.sqrt(np.stack(counts) / sizes), np.float32)


def _mean_where(values: NDArray[np.float32], where: Masks) -> Numbers:
    total = np.einsum("nij,nij->n", values, where.astype(np.float32))
    return np.asarray((total / np.maximum(where.sum(axis=(1, 2)), 1))[:, None], np.float32)
