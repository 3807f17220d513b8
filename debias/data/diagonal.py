"""Training where several cues agree, and a test where they conflict: the design WCST-ML."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.data.examples import SPLITS
from debias.data.tables.draws import random_key
from debias.errors import InputError, check_at_least, check_between

#: The place in ``Diagonal.split`` of rows that no split has.
UNUSED = -1
#: The value of each cue.
Cell = tuple[int, ...]
#: Most cells off the diagonal.
MOST_CELLS = 100_000


class Diagonal(NamedTuple):
    """Which rows are used in which split.

    Attributes:
        split: ``(N,)`` int64 position in ``SPLITS``, or -1.
        each: number of test rows of every cell off the diagonal that has rows enough.
        cells: the number of these cells.
        absent: values of the cells off the diagonal that have fewer rows, which no split has.
    """

    split: Tensor
    each: int
    cells: int
    absent: list[Cell]


def diagonal_splits(
    values: Tensor,
    names: Sequence[str],
    *,
    labels: int,
    val: float = 0.1,
    each: int | None = None,
    seed: int = 0,
    titles: Sequence[str] | None = None,
) -> Diagonal:
    r"""Put rows whose cues agree into training, and rows whose cues conflict into the test.

    Each of K cues has L values. There are :math:`L` cells on the diagonal, where all cues have the
    same value, and :math:`L^K - L` others. Training and validation have equally many rows of each
    cell on the diagonal, so a model may follow any cue. The test has equally many rows of each
    other cell, so that its answers show which cue the model follows.

    Source: Scimeca et al., "Which Shortcut Cues Will DNNs Choose? A Study from the Parameter-Space
    Perspective", ICLR 2022 (WCST-ML; its code was not available).

    Args:
        values: ``(N, K)`` int64 value of each cue in [0, labels); rows with another value are not
            used.
        names: N different names, which together with the seed draw the rows.
        labels: number L of values, at least 2.
        val: share of the rows on the diagonal that validation has, in (0, 1).
        each: test rows per cell; cells with fewer rows are absent. ``None`` takes the smallest cell
            that has a row.
        seed: another seed draws other rows.
        titles: names of the L cells on the diagonal, for messages.

    Raises:
        ValueError: fewer than two cues or values, too many cells, a value on the diagonal has fewer
            than two rows, no other cell has rows enough, or an option is out of range.

    Example:
        >>> values = torch.tensor([[0, 0], [0, 0], [1, 1], [1, 1], [0, 1], [1, 0], [1, 0]])
        >>> diagonal_splits(values, list("abcdefg"), labels=2, val=0.5).each
        1
    """
    _check(values, labels, val, each)
    rows = _rows_of_cells(values, names, seed)
    cells = torch.cartesian_prod(*[torch.arange(labels)] * values.shape[1]).tolist()
    counts = {cell: len(rows.get(cell, ())) for cell in map(tuple, cells) if len(set(cell)) > 1}
    each = each or min(filter(None, counts.values()), default=1)
    used = [cell for cell, count in counts.items() if count >= each]
    if not used:
        raise InputError(f"no conflict of the cues has {each} rows: set a lower each")
    split = torch.full((len(names),), UNUSED, dtype=torch.int64)
    for found in _agreeing(rows, labels, values.shape[1], titles):
        held = min(max(1, round(val * len(found))), len(found) - 1)
        split[found[:held]] = SPLITS.index("val")
        split[found[held:]] = SPLITS.index("train")
    for cell in used:
        split[rows[cell][:each]] = SPLITS.index("test")
    return Diagonal(split, each, len(used), [cell for cell in counts if counts[cell] < each])


def _rows_of_cells(values: Tensor, names: Sequence[str], seed: int) -> dict[Cell, list[int]]:
    """The rows of each combination of values, in random order."""
    cells: list[Cell] = list(map(tuple, values.tolist()))
    rows: dict[Cell, list[int]] = {}
    for row in sorted(range(len(names)), key=lambda row: random_key(seed, names[row])):
        rows.setdefault(cells[row], []).append(row)
    return rows


def _agreeing(
    rows: Mapping[Cell, list[int]], labels: int, cues: int, titles: Sequence[str] | None
) -> list[list[int]]:
    """Equally many rows of each cell on the diagonal."""
    inside = [rows.get((label,) * cues, []) for label in range(labels)]
    few = min(map(len, inside))
    if few < 2:
        label = [len(found) for found in inside].index(few)
        title = f"value {label} of all cues" if titles is None else titles[label]
        raise InputError(
            f"{title} occurs in {few} rows, and training and validation need one row each: take "
            "other values or cues, or another order of values"
        )
    return [found[:few] for found in inside]


def _check(values: Tensor, labels: int, val: float, each: int | None) -> None:
    cues = values.shape[1]
    check_at_least(2, {"the number of cues": cues, "values": labels})
    check_between("(0, 1)", {"val": val})
    check_at_least(1, {"each": 1 if each is None else each})
    if labels**cues > MOST_CELLS:
        raise InputError(
            f"{cues} cues of {labels} values make {labels**cues:,} combinations, more than "
            f"{MOST_CELLS:,}: take fewer cues or values"
        )
