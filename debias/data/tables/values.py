"""Cells of columns to the names of classes and bias values: other names, and bins of numbers."""

import ast
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from debias.csv_files import UNKNOWN, Columns, number_in
from debias.data.tables.rules import RowRules
from debias.errors import InputError, near

#: In ``values``, the end of a text that means all cells which begin with it and are not listed.
OTHERS = "*"
#: In ``values``, the rule that only takes the first entry of each list.
FIRST = "first"


class Named(NamedTuple):
    """Columns after ``values`` and ``bins``.

    Attributes:
        columns: the columns; only the rows that are kept.
        kept: their positions in the table.
        orders: the names of a column in the order of their numbers, where the rules fix it.
    """

    columns: Columns
    kept: Sequence[int]
    orders: dict[str, tuple[str, ...]]


def name_cells(columns: Columns, rules: RowRules) -> Named:
    """Apply ``values``, then ``bins``.

    Raises:
        ValueError: there is no such column, none of the listed cells occurs in it, a cell cannot
            be read as a list, or a cell in a column of bins is below the first edge or no number.
    """
    cells, orders = dict(columns.cells), {}
    left_out: set[int] = set()
    for column, rule in (rules.values or {}).items():
        names = _renamed(columns, column, rule)
        left_out |= {row for row, name in enumerate(names) if name is None}
        cells[column] = [name or "" for name in names]
        if isinstance(rule, (list, tuple)):
            orders[column] = tuple(map(str, rule))
    kept: Sequence[int] = range(len(columns.lines))
    columns = replace(columns, cells=cells)
    if left_out:
        kept = [row for row in kept if row not in left_out]
        columns = columns.take(kept)
    for column, edges in (rules.bins or {}).items():
        orders[column] = _bin_names(edges)
        columns.cells[column] = _binned(columns, column, edges, orders[column])
    return Named(columns, kept, orders)


def _renamed(columns: Columns, column: str, rule: Any) -> list[str | None]:
    """The name of each cell of a column; ``None`` if the row is left out."""
    cells = columns.column(column)
    distinct = {cell: _first(columns, column, cell) for cell in set(cells)}
    _refuse_truth_values(column, rule)
    if isinstance(rule, Mapping):
        names = {str(cell): None if name is None else str(name) for cell, name in rule.items()}
        found = set(distinct.values())
        starts = sorted((cell for cell in names if cell.endswith(OTHERS)), key=len, reverse=True)
        listed = {entry: _listed(entry, names, starts) for entry in found}
        if not any(cell in names for cell in listed.values()):
            raise InputError(
                f"data.values.{column}: {columns.source} has none of the listed cells, such as "
                f"{next(iter(names), '')!r}; {near(next(iter(names), ''), found)}"
            )
        new = {cell: names.get(listed[entry], entry) for cell, entry in distinct.items()}
    elif rule == FIRST or isinstance(rule, (list, tuple)):
        new = {**distinct}
    else:
        raise InputError(
            f"data.values.{column} must be names by cell, a list of names, or the word {FIRST}; "
            f"got {rule!r}"
        )
    return [new[cell] for cell in cells]


def _refuse_truth_values(column: str, rule: Any) -> None:
    """Refuse a cell or name such as ``no``, which YAML does not read as a text."""
    texts = [*rule, *rule.values()] if isinstance(rule, Mapping) else rule
    if not isinstance(texts, (list, tuple)):
        return
    if wrong := [text for text in texts if isinstance(text, bool)]:
        words = "yes, on and true" if wrong[0] else "no, off and false"
        raise InputError(
            f"data.values.{column} has {wrong[0]}, which YAML reads from the words {words}: write "
            f"your word in quotes, as in '{str(wrong[0]).lower()}'"
        )


def _listed(cell: str, names: Mapping[str, str | None], starts: Sequence[str]) -> str:
    """The cell itself, or the longest text with a star that it begins with, if it is not listed."""
    if cell in names:
        return cell
    return next((start for start in starts if cell.startswith(start[:-1])), cell)


def _first(columns: Columns, column: str, cell: str) -> str:
    """The first entry of a cell that is a list, or the cell itself."""
    if not cell.startswith("["):
        return cell
    try:
        entries = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        row = list(columns.cells[column]).index(cell)
        raise columns.error(row, column, "but must be a list such as '[\"a\"]'") from None
    return str(entries[0]) if entries else ""


def _bin_names(edges: Sequence[float]) -> tuple[str, ...]:
    whole = all(edge >= 0 and edge == int(edge) for edge in edges)
    between = [
        f"{low:.0f}-{high - 1:.0f}" if whole else f"{low:g} to {high:g}"
        for low, high in pairwise(edges)
    ]
    return (*between, f"{edges[-1]:.0f}+" if whole else f"{edges[-1]:g}+")


def _binned(
    columns: Columns, column: str, edges: Sequence[float], names: Sequence[str]
) -> list[str]:
    cells = columns.column(column)
    bins = {cell: _bin(cell, edges) for cell in set(cells)}
    if -1 in bins.values():
        row = next(row for row, cell in enumerate(cells) if bins[cell] == -1)
        raise columns.error(
            row, column, f"but must be a number from {edges[0]:g}, the first edge of data.bins"
        )
    named = {cell: "" if place is None else names[place] for cell, place in bins.items()}
    return [named[cell] for cell in cells]


def _bin(cell: str, edges: Sequence[float]) -> int | None:
    """The bin of a number; ``None`` if it is missing, -1 if it has no bin."""
    if cell in UNKNOWN and (cell != "-1" or edges[0] > -1):
        return None
    number = number_in(cell)
    return -1 if number is None or math.isnan(number) else bisect_right(edges, number) - 1
