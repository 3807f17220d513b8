"""The rungs as pictures: what is left for a network, and for a reader of the page, to see.

Every function takes ``(N, S, S, 3)`` uint8 pictures and ``(N, S, S)`` bool masks, and returns
pictures of the same shape. A picture's result does not depend on the others of its batch. Filled
pixels get the mean colour of the pixels that stay.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.picture_numbers import Masks, Pixels, averaged, gradients, grey, grown

#: Radius of the ideal filters as a share of the side: 40 pixels of 224.
CUTOFF = 40 / 224
#: Patches per side of a shuffled picture: 16 pixels each at 128.
GRID = 8


def untouched(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """The pictures themselves."""
    return pictures


def one_colour(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """Each picture filled with its mean colour."""
    mean = pictures.mean(axis=(1, 2), keepdims=True)
    return np.broadcast_to(mean.round(), pictures.shape).astype(np.uint8)


def tiles(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """Each picture as 4x4 squares of one colour."""
    side = pictures.shape[1]
    nearest = cv2.INTER_NEAREST
    enlarged = [
        cv2.resize(one, (side, side), interpolation=nearest) for one in averaged(pictures, 4)
    ]
    return np.asarray(enlarged, np.uint8)


def corner_tiles(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """The four corners, on grey."""
    side, result = max(pictures.shape[1] // 8, 1), np.full_like(pictures, 128)
    for rows in (slice(None, side), slice(-side, None)):
        for columns in (slice(None, side), slice(-side, None)):
            result[:, rows, columns] = pictures[:, rows, columns]
    return result


def gradient_lengths(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """Length of the gradient, four times brighter."""
    return _in_three_channels((4 * gradients(pictures)).clip(0, 255))


def resolution(pictures: Pixels, *, size: int) -> Pixels:
    """Averaged to ``size`` x ``size`` pixels, and enlarged again."""
    side = pictures.shape[1]
    return np.asarray([cv2.resize(one, (side, side)) for one in averaged(pictures, size)], np.uint8)


def resolution_7(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """7x7 pixels, enlarged."""
    return resolution(pictures, size=7)


def resolution_14(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """14x14 pixels, enlarged."""
    return resolution(pictures, size=14)


def resolution_28(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """28x28 pixels, enlarged."""
    return resolution(pictures, size=28)


def resolution_56(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """56x56 pixels, enlarged."""
    return resolution(pictures, size=56)


def without_colour(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """The luminance in three channels."""
    return _in_three_channels(grey(pictures))


def edges(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """Canny edges of the blurred grey picture; thresholds 0.67 and 1.33 times its median.

    Source: Zeng et al., "Understanding Bias in Large-Scale Visual Datasets", NeurIPS 2024.
    """
    return _in_three_channels(np.stack([_canny(one) for one in grey(pictures)]))


def low_pass(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """Frequencies up to a radius of 0.179 of the side, of the grey picture, stretched to [0, 255].

    Source: as :func:`edges`. The stretch removes the contrast too.
    """
    return _filtered(pictures, low=True)


def high_pass(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """The frequencies that :func:`low_pass` removes, stretched to [0, 255]."""
    return _filtered(pictures, low=False)


def patches(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """8x8 patches in a random order, another one for every picture."""
    side = max(pictures.shape[1] // GRID, 1)
    return np.stack([rearranged(one, _order(one, side), side=side) for one in pictures])


def pixels(pictures: Pixels, masks: Masks | None = None) -> Pixels:
    """All pixels in a random order, another one for every picture."""
    return np.stack([rearranged(one, _order(one, 1), side=1) for one in pictures])


def foreground(pictures: Pixels, masks: Masks) -> Pixels:
    """The object alone."""
    return _filled(pictures, ~masks)


def background(pictures: Pixels, masks: Masks) -> Pixels:
    """The surroundings alone; the mask grows by 3 pixels before it is filled."""
    return _filled(pictures, grown(masks))


def box_background(pictures: Pixels, masks: Masks) -> Pixels:
    """The surroundings of the mask's bounding box: the shape is gone, place and size stay."""
    return _filled(pictures, boxes(masks))


def silhouette(pictures: Pixels, masks: Masks) -> Pixels:
    """The mask, white on black."""
    return _in_three_channels(masks * np.uint8(255))


def white_box(pictures: Pixels, masks: Masks) -> Pixels:
    """The bounding box of the mask, white on black."""
    return _in_three_channels(boxes(masks) * np.uint8(255))


def boxes(masks: Masks) -> Masks:
    """``(N, S, S)``: the bounding box of each mask, filled; empty if the mask is empty."""
    spans = [_span(np.asarray(np.any(masks, axis=axis))) for axis in (2, 1)]
    return spans[0][:, :, None] & spans[1][:, None, :]


def rearranged(picture: Pixels, order: NDArray[np.int64], *, side: int) -> Pixels:
    """One picture with its patches in another order.

    Args:
        picture: ``(S, S, 3)`` uint8.
        order: ``(k,)`` number of the patch that comes to each place, row by row;
            ``k = (S // side) ** 2``. The remainder of a side that ``side`` does not divide stays.
        side: side of a patch, in pixels.
    """
    count = picture.shape[0] // side
    inner = picture[: count * side, : count * side]
    grid = inner.reshape(count, side, count, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    moved = grid[order].reshape(count, count, side, side, 3).swapaxes(1, 2)
    result: Pixels = picture.copy()
    result[: count * side, : count * side] = moved.reshape(inner.shape)
    return result


def _order(picture: Pixels, side: int) -> NDArray[np.int64]:
    """A random order of the patches that depends on the picture alone."""
    key = zlib.crc32(picture.tobytes())
    return np.random.default_rng(key).permutation((picture.shape[0] // side) ** 2)


def _canny(one: Pixels) -> Pixels:
    median = float(np.median(one))
    lines = cv2.Canny(cv2.GaussianBlur(one, (5, 5), 0), 0.67 * median, min(1.33 * median, 255))
    return np.asarray(lines, np.uint8)


def _filtered(pictures: Pixels, *, low: bool) -> Pixels:
    side = pictures.shape[1]
    axis = np.fft.fftfreq(side) * side
    kept = (np.hypot(axis[:, None], axis[: side // 2 + 1]) <= CUTOFF * side) == low
    spectrum = np.fft.rfft2(grey(pictures).astype(np.float32) / 255) * kept
    values = np.fft.irfft2(spectrum, s=(side, side))
    least, most = (end(values, axis=(1, 2), keepdims=True) for end in (np.min, np.max))
    return _in_three_channels(255 * (values - least) / (most - least + 1e-5))


def _filled(pictures: Pixels, hidden: Masks) -> Pixels:
    """Pictures with the hidden pixels in the mean colour of the others, or grey without others."""
    kept = ~hidden
    count = kept.sum(axis=(1, 2))[:, None]
    total = np.einsum("nijc,nij->nc", pictures, kept, dtype=np.float32, casting="unsafe")
    mean = np.where(count > 0, total / np.maximum(count, 1), 128).round().astype(np.uint8)
    return np.asarray(np.where(hidden[..., None], mean[:, None, None], pictures))


def _span(occupied: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``(N, S)``: from the first to the last occupied place of each row."""
    forward = np.logical_or.accumulate(occupied, axis=1)
    return forward & np.logical_or.accumulate(occupied[:, ::-1], axis=1)[:, ::-1]


def _in_three_channels(values: NDArray[np.generic]) -> Pixels:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=3)
