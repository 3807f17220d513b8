"""Which audited images belong together, so that a probe never sees a part of a unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from debias.audits.rows.duplicates_step import DUPLICATES, SETS
from debias.audits.steps import Audited


def audited_units(audited: Audited) -> NDArray[np.int64]:
    """``(N,)`` unit of each audited image.

    Duplicates share a unit, and so do images of one ``data.split_by`` value.
    """
    labels: list[NDArray[np.int64]] = []
    if audited.examples.units:
        names = np.array(audited.examples.units)[audited.rows]
        labels.append(np.asarray(np.unique(names, return_inverse=True)[1]))
    if DUPLICATES in audited.found:
        labels.append(np.asarray(audited.found[DUPLICATES][SETS], np.int64))
    return joined_units(len(audited.rows), labels)


def one_unit(audited: Audited) -> str:
    """Why no probe can be judged on images of another unit; empty if it can."""
    units = np.unique(audited_units(audited)[audited.judged])
    return "all images are copies, or of one data.split_by value" if len(units) < 2 else ""


def joined_units(rows: int, labels: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The finest units in which rows with an equal label are together.

    Args:
        rows: number of rows N.
        labels: ``(N,)`` labels each, in [0, N) or -1 for a row alone.

    Returns:
        ``(N,)`` int64 units.

    Example:
        >>> joined_units(5, [np.array([0, 0, 1, 1, 2]), np.array([3, 4, 4, 2, 1])]).tolist()
        [0, 0, 0, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    row = np.arange(rows)
    ends = [
        np.where(label >= 0, rows * (place + 1) + label, row) for place, label in enumerate(labels)
    ]
    pairs = np.concatenate(ends) if ends else row[:0]
    size = rows * (len(labels) + 1)
    links = (np.ones(len(pairs)), (np.tile(row, len(labels)), pairs))
    graph = coo_array(links, shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][:rows], np.int64)
