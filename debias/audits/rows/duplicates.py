"""Equal and nearly equal images: in one split, across splits (a leak), and across classes."""

import hashlib
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.picture_numbers import averaged

#: The difference hashes of two nearly equal images may differ in this many of 64 bits.
DISTANCE = 4
#: The least correlation of the pixels of two nearly equal images.
PIXEL_CORRELATION = 0.99
#: Side of the small pictures whose pixels are correlated.
SIDE = 32
#: Rows whose hashes are compared with all others at a time.
CHUNK = 512


class DuplicateRows(NamedTuple):
    """Rows that show the same image.

    Attributes:
        sets: ``(N,)`` int64 number of the duplicate set of each row, from 0 in order of first rows.
            A row without duplicate is a set of its own.
        exact: ``(N,)`` bool: whether another row has exactly the same pixels.
    """

    sets: NDArray[np.int64]
    exact: NDArray[np.bool_]


def pixel_digest(picture: NDArray[np.uint8]) -> bytes:
    """SHA-256 of the pixels of an ``(H, W, 3)`` picture, and of its size.

    Equal pixels have equal digests, whatever the format of the file or its metadata.
    """
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).digest()


def difference_hashes(pictures: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64-bit difference hash of each picture: where the grey values rise from left to right.

    The grey picture is averaged on 8 rows of 9 cells. Each bit compares two neighbours in a row.

    Source: Krawetz, "Kind of Like That", 2013 (``dHash``).

    Args:
        pictures: ``(N, H, W, 3)`` uint8 RGB.

    Returns:
        ``(N,)`` uint64. Equal pictures have equal hashes; the hash of a flat picture is 0.
    """
    cells = np.stack([_small_grey(picture) for picture in pictures])
    bits = (cells[:, :, 1:] > cells[:, :, :-1]).reshape(len(pictures), 64)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()


def _small_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def correlated_pixels(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``(N, 3072)`` float32: small pictures minus their mean, with norm 1.

    The product of two rows is the correlation of their pixels. The row of a flat picture is zero.
    """
    values = averaged(pictures, SIDE).reshape(len(pictures), -1).astype(np.float32)
    return unit_rows(values - values.mean(axis=1, keepdims=True))


def unit_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows divided by their norm; a row of zeros remains zero."""
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(np.divide(values, norm, out=np.zeros_like(values), where=norm > 0))


def close_pairs(
    hashes: NDArray[np.uint64], others: NDArray[np.uint64], *, distance: int = DISTANCE
) -> NDArray[np.int64]:
    """Pairs of rows i < j where the i-th hash differs from the j-th of the others in few bits.

    Args:
        hashes: ``(N,)`` uint64.
        others: ``(N,)`` uint64: the same hashes, or those of the mirrored pictures.
        distance: the most bits that may differ, in 0 to 64.

    Returns:
        ``(P, 2)`` int64.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(hashes), CHUNK):
        differ = np.bitwise_count(hashes[start : start + CHUNK, None] ^ others[None, start:])
        first, second = np.nonzero(differ <= distance)
        pairs = np.stack([first + start, second + start], axis=1)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(found)


def confirmed_pairs(
    pairs: NDArray[np.int64],
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    *,
    least: float,
) -> NDArray[np.int64]:
    """The pairs whose vectors have at least this product.

    Hashes alone pair images without contrast, such as black ones.

    Args:
        pairs: ``(P, 2)`` int64 rows.
        first: ``(N, D)`` rows of norm 1 for the first of a pair, see :func:`unit_rows`.
        second: ``(N, D)`` rows of norm 1 for the second of a pair.
        least: the least product, such as ``PIXEL_CORRELATION``.
    """
    parts = np.array_split(pairs, max(1, len(pairs) // 10_000))
    kept = [part[_products(part, first, second) >= least] for part in parts]
    return np.concatenate(kept)


def _products(
    pairs: NDArray[np.int64], first: NDArray[np.float32], second: NDArray[np.float32]
) -> NDArray[np.float32]:
    return np.asarray(np.einsum("pd,pd->p", first[pairs[:, 0]], second[pairs[:, 1]]))


def equal_pairs(digests: list[bytes]) -> NDArray[np.int64]:
    """Pairs (first row with this digest, another row with it): ``(P, 2)`` int64."""
    seen: dict[bytes, int] = {}
    pairs = [
        (seen[digest], row)
        for row, digest in enumerate(digests)
        if seen.setdefault(digest, row) != row
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def joined_sets(rows: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the set of each row, if the two rows of each pair belong to one set.

    Sets are numbered from 0, in the order of their first rows.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(pairs), dtype=bool), pairs.T), shape=(rows, rows))
    labels = connected_components(edges, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = first.argsort(kind="stable").argsort(kind="stable")
    return np.asarray(rank[inverse], dtype=np.int64)


def duplicate_rows(pictures: NDArray[np.uint8], *, mirror: bool = False) -> DuplicateRows:
    """Find equal and nearly equal images.

    Equal images have the same pixels. Nearly equal images have difference hashes that differ in at
    most ``DISTANCE`` of 64 bits, and pixels of correlation ``PIXEL_CORRELATION`` or more.

    Args:
        pictures: ``(N, H, W, 3)`` uint8 RGB.
        mirror: whether an image and its mirror image are duplicates.

    Returns:
        The duplicate set of each row. Chains are joined: if A is like B and B like C, they are one
        set.

    Differs from the reference: cleanvision reports sets of equal hashes, which also pair images
    without contrast. debias confirms each pair.
    """
    equal = equal_pairs([pixel_digest(picture) for picture in pictures])
    pairs = [equal, _near(pictures, pictures)]
    if mirror:
        pairs.append(_near(pictures, pictures[:, :, ::-1]))
    exact = np.zeros(len(pictures), dtype=bool)
    exact[equal.ravel()] = True
    return DuplicateRows(joined_sets(len(pictures), np.concatenate(pairs)), exact)


def _near(pictures: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    hashes, first = difference_hashes(pictures), correlated_pixels(pictures)
    same = others is pictures
    pairs = close_pairs(hashes, hashes if same else difference_hashes(others))
    second = first if same else correlated_pixels(others)
    return confirmed_pairs(pairs, first, second, least=PIXEL_CORRELATION)


class SharedImages(NamedTuple):
    """How the duplicate sets lie over splits and classes.

    Attributes:
        repeated: number of images beyond the first of each set.
        leaking: ``(N,)`` bool: images with a duplicate in another split.
        conflicting: ``(N,)`` bool: images with a duplicate of another class.
    """

    repeated: int
    leaking: NDArray[np.bool_]
    conflicting: NDArray[np.bool_]


def shared_images(
    sets: NDArray[np.int64], split: NDArray[np.int64], target: NDArray[np.int64]
) -> SharedImages:
    """Find duplicates across splits (leaks) and across classes (conflicting labels).

    Args:
        sets: ``(N,)`` int64 duplicate set of each image.
        split: ``(N,)`` int64 split of each image.
        target: ``(N,)`` int64 class of each image.

    Example:
        >>> shared = shared_images(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([2, 2, 2]))
        >>> shared.repeated, shared.leaking.tolist(), shared.conflicting.tolist()
        (1, [True, True, False], [False, False, False])
    """
    repeated = len(sets) - len(np.unique(sets))
    return SharedImages(repeated, _differing(sets, split), _differing(sets, target))


def _differing(sets: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows of the sets that have several values."""
    lowest = np.full(int(sets.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    highest = np.full_like(lowest, np.iinfo(np.int64).min)
    np.minimum.at(lowest, sets, values)
    np.maximum.at(highest, sets, values)
    return np.asarray((lowest < highest)[sets])
