"""Columns of text to classes, bias values and the names of both."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.csv_files import MOST_VALUES, UNKNOWN, Columns, is_integer
from debias.errors import InputError
from debias.types import Groups


class Labels(NamedTuple):
    """The classes ``(N,)`` int64, the bias values ``(N,)`` int64 or -1, and their names."""

    target: Tensor
    bias: Tensor
    groups: Groups


def read_labels(
    columns: Columns,
    target: str,
    bias: str | None,
    *,
    target_names: Sequence[str] | None = None,
    bias_names: Sequence[str] | None = None,
    aligned: Sequence[Sequence[int]] | None = None,
) -> Labels:
    """Number the classes and the bias values of a table.

    Args:
        columns: the table.
        target: column of the classes: integers from 0, or names.
        bias: column of the bias attribute, in the same form; a cell of ``UNKNOWN`` becomes -1.
            ``None`` if there is no such column.
        target_names: the classes in order. By default they are the sorted names in the column, or
            the integers themselves.
        bias_names: the bias values in order, with the same default.
        aligned: the bias-aligned (target, bias) pairs, as integers.

    Raises:
        ValueError: a cell is not a class or bias value, or an aligned pair is not below the numbers
            of classes and bias values.
    """
    labels, label_names = _classes(columns, target, target_names)
    biases, names = _biases(columns, bias, bias_names)
    pairs = _pairs(aligned, len(label_names), len(names))
    return Labels(labels, biases, Groups(label_names, names, pairs))


def _classes(
    columns: Columns, column: str, names: Sequence[str] | None
) -> tuple[Tensor, tuple[str, ...]]:
    cells = columns.cells[column]
    distinct = set(cells)
    if any(map(is_integer, distinct)):
        values = columns.integers(column)
        count = int(values.max()) + 1
        if count > MOST_VALUES:
            reason = f"but must be a number from 0, below {MOST_VALUES}"
            raise columns.error(int(values.argmax()), column, reason)
        return values, tuple(map(str, range(count)) if names is None else names)
    wrong = {cell for cell in distinct if cell == "" or _is_fraction(cell)}
    missing = {cell for cell in distinct if cell in UNKNOWN and cell not in (names or ())}
    if refused := wrong | missing:
        row = next(row for row, cell in enumerate(cells) if cell in refused)
        if cells[row] in wrong:
            raise columns.error(row, column, "but must be an integer or a name")
        raise columns.error(
            row, column, "which means a missing class: give one, or list it in target_names"
        )
    ordered = tuple(sorted(distinct) if names is None else names)
    return columns.choices(column, {name: value for value, name in enumerate(ordered)}), ordered


def _biases(
    columns: Columns, column: str | None, names: Sequence[str] | None
) -> tuple[Tensor, tuple[str, ...]]:
    absent = set(UNKNOWN) - set(names or ())
    if column is not None and absent.isdisjoint(columns.cells[column]):
        return _classes(columns, column, names)
    unknown = torch.full((len(columns.lines),), -1, dtype=torch.int64)
    cells = [""] * len(unknown) if column is None else columns.cells[column]
    labelled = [row for row, cell in enumerate(cells) if cell not in absent]
    if column is None or not labelled:
        return unknown, ("unknown",) if names is None else tuple(names)
    values, ordered = _classes(columns.take(labelled), column, names)
    unknown[labelled] = values
    return unknown, ordered


def _is_fraction(cell: str) -> bool:
    return cell.replace(".", "", 1).lstrip("+-").isdecimal()


def _pairs(
    aligned: Sequence[Sequence[int]] | None, targets: int, biases: int
) -> tuple[tuple[int, int], ...]:
    for pair in aligned or ():
        if len(pair) != 2 or not (0 <= pair[0] < targets and 0 <= pair[1] < biases):
            raise InputError(
                f"aligned must hold pairs [target, bias] below [{targets}, {biases}]; got "
                f"{list(pair)}. Correct the pair"
            )
    return tuple((pair[0], pair[1]) for pair in aligned or ())
