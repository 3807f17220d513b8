"""Columns of text to classes, bias values and the names of both."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from debias.csv_files import MOST_VALUES, UNKNOWN, Columns, is_integer
from debias.errors import InputError, near
from debias.types import Attribute, Groups

#: Bias-aligned (target, bias) pairs, as names or as integers.
Pairs = Sequence[Sequence[int | str]]
Option = TypeVar("Option")


class Labels(NamedTuple):
    """The classes ``(N,)`` int64, the bias values ``(N,)`` int64 or -1, and their names."""

    target: Tensor
    bias: Tensor
    groups: Groups

    def take(self, rows: Sequence[int]) -> "Labels":
        """The labels of some rows."""
        places = torch.tensor(rows, dtype=torch.int64)
        return Labels(self.target[places], self.bias[places], self.groups)


def read_labels(
    columns: Columns,
    target: str,
    bias: str | Sequence[str] | None,
    *,
    target_names: Sequence[str] | None = None,
    bias_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    aligned: Pairs | Mapping[str, Pairs] | None = None,
) -> Labels:
    """Number the classes and the bias values of a table.

    Args:
        columns: the table.
        target: column of the classes: integers from 0, or names.
        bias: column of the bias attribute, in the same form; a cell of ``UNKNOWN`` becomes -1.
            ``None`` if there is no such column. With several columns, a bias value is a combination
            of their values, and is unknown if one of them is.
        target_names: the classes in order. By default they are the sorted names in the column, or
            the integers themselves.
        bias_names: the bias values in order, with the same default. For several columns, a mapping
            from some columns to their values.
        aligned: the bias-aligned (target, bias) pairs, as names or numbers. For several columns, a
            mapping from each column with a shortcut to its pairs.

    Raises:
        ValueError: a cell is not a class or bias value, an aligned pair does not hold a class and a
            bias value, or ``bias_names`` or ``aligned`` does not fit the columns.
    """
    labels, label_names = _classes(columns, target, target_names)
    names = bias_columns(bias)
    ordered = by_column("bias_names", bias_names, names, "[land, water]")
    favoured = by_column("aligned", aligned, names, "[[0, 0], [1, 1]]")
    values, attributes = [], []
    for name in names or ("bias",):
        value, value_names = _biases(columns, name if names else None, ordered.get(name))
        pairs = _pairs(favoured.get(name, ()), label_names, value_names)
        values.append(value)
        attributes.append(Attribute(name, value_names, pairs))
    groups = Groups.product(label_names, attributes)
    return Labels(labels, groups.combine(torch.stack(values, dim=1)), groups)


def bias_columns(bias: str | Sequence[str] | None) -> list[str]:
    """The bias columns as a list, which is empty without a column.

    Raises:
        ValueError: a column occurs twice.
    """
    names = [] if bias is None else [bias] if isinstance(bias, str) else list(bias)
    if len(set(names)) < len(names):
        raise InputError(f"bias must name different columns; got bias={names}")
    return names


def by_column(
    option: str,
    given: Option | Mapping[str, Option] | None,
    columns: Sequence[str],
    example: str,
) -> Mapping[str, Option]:
    """The value of an option for each bias column.

    Args:
        option: name of the option, for messages.
        given: a mapping from columns to values, or the value for a single column, or ``None``.
        columns: the bias columns. Without a column, the value belongs to "bias".
        example: a value, for messages.

    Raises:
        ValueError: there are several columns and no mapping, or the mapping has another column.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(columns) > 1:
            raise InputError(
                f"{option} must name the bias column of each value, as in "
                f"{option}={{{columns[0]}: {example}}}; got {option}={given}"
            )
        return {(columns[0] if columns else "bias"): given}
    if others := [name for name in given if name not in columns]:
        raise InputError(
            f"{option} names {others[0]!r}, which is no bias column; {near(others[0], columns)}"
        )
    return given


def _classes(
    columns: Columns, column: str, names: Sequence[str] | None
) -> tuple[Tensor, tuple[str, ...]]:
    cells = columns.cells[column]
    numbered = any(map(is_integer, set(cells)))
    _check_cells(columns, column, names, numbered=numbered)
    if numbered:
        values = columns.integers(column)
        count = int(values.max()) + 1
        if count > MOST_VALUES:
            reason = f"but must be a number from 0, below {MOST_VALUES}"
            raise columns.error(int(values.argmax()), column, reason)
        return values, tuple(map(str, range(count)) if names is None else names)
    ordered = tuple(sorted(set(cells)) if names is None else names)
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


def _check_cells(
    columns: Columns, column: str, names: Sequence[str] | None, *, numbered: bool
) -> None:
    """Refuse missing classes, fractions, and names among integers."""
    cells = columns.cells[column]
    distinct = set(cells)
    missing = {cell for cell in distinct if cell in UNKNOWN and cell not in (names or ())} - {"-1"}
    if numbered:
        wrong = {cell for cell in distinct if not is_integer(cell)}
        reason = "but must be an integer, as others are: write only integers, or only names"
    else:
        wrong = {cell for cell in distinct if cell == "" or _is_fraction(cell)}
        reason = "but must be an integer or a name: write 1 in place of 1.0"
    if not (refused := wrong | missing):
        return
    row = next(row for row, cell in enumerate(cells) if cell in refused)
    if cells[row] in missing:
        listed = "list it in target_names, " if cells[row] and not numbered else ""
        reason = (
            f"which means a missing class: give one, {listed}or leave the row out, as by "
            "data.missing=leave_out"
        )
    raise columns.error(row, column, reason)


def _is_fraction(cell: str) -> bool:
    return cell.replace(".", "", 1).lstrip("+-").isdecimal()


def _pairs(
    aligned: Pairs, target_names: Sequence[str], bias_names: Sequence[str]
) -> tuple[tuple[int, int], ...]:
    pairs = []
    for pair in aligned:
        if len(pair) != 2:
            raise InputError(f"aligned must hold pairs [target, bias]; got {list(pair)}")
        pairs.append((_position(pair[0], target_names), _position(pair[1], bias_names)))
    return tuple(pairs)


def _position(value: int | str, names: Sequence[str]) -> int:
    """The number of a class or bias value of ``aligned``, which is a number or a name."""
    if isinstance(value, int) and 0 <= value < len(names):
        return value
    if value not in names:
        raise InputError(
            f"aligned must hold names, or integers from 0 to {len(names) - 1}; got {value!r}; "
            f"{near(str(value), names)}"
        )
    return names.index(str(value))
