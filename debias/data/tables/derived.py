"""Columns of a table that come from its other columns, or from other tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from debias.csv_files import Columns
from debias.data.trees.templates import read_template
from debias.errors import InputError, near

#: The column with the number of each row from 0, which templates may name.
ROW = "row"
#: Reads all columns of a file.
Reader = Callable[[Path], Columns]
FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class DerivedColumns:
    """How further columns of a table are made. Later rules may use the columns of earlier ones.

    Args:
        parts: columns from the parts of another, as in ``{Path: "{_}/{patient}/*"}``. The text is a
            template as in the reader ``pattern``.
        join: further tables, as in ``{patients.csv: {subject: id}}``. A row gets the cells of the
            first line there whose column ``id`` equals its own column ``subject``. The cells are
            empty if there is no such line.
        made: columns from the text of others, as in ``{path: "{patient}/{view}.png"}``. ``{row}``
            is the number of the row from 0.
    """

    parts: dict[str, str] | None = None
    join: dict[str, dict[str, str]] | None = None
    made: dict[str, str] | None = None


def derive(columns: Columns, read: Reader, folder: Path, rules: DerivedColumns) -> Columns:
    """Make the columns of the rules, beside those of a table.

    Args:
        columns: all columns of the table.
        read: reads all columns of a joined table.
        folder: the folder of the joined tables.
        rules: how columns are made.

    Raises:
        ValueError: a file or column does not exist, a cell does not match its template, or a table
            is joined by more than one column, or by one without equal cells.
    """
    for column, template in (rules.parts or {}).items():
        columns = _with(columns, _parts(columns, column, template))
    for file, keys in (rules.join or {}).items():
        columns = _with(columns, _joined(columns, read, folder / file, keys))
    for column, template in (rules.made or {}).items():
        columns = _with(columns, {column: _made(columns, column, template)})
    return columns


def _with(columns: Columns, more: Mapping[str, Sequence[str]]) -> Columns:
    return replace(columns, cells=columns.cells | dict(more))


def _parts(columns: Columns, column: str, text: str) -> dict[str, list[str]]:
    try:
        template = read_template(text)
    except InputError as error:
        raise InputError(f"data.parts.{column}: {error}") from None
    cells: dict[str, list[str]] = {name: [] for name in template.fields}
    for row, cell in enumerate(columns.column(column)):
        match = template.matcher.fullmatch(cell)
        if match is None:
            raise columns.error(row, column, f"but data.parts.{column} is {text!r}: correct it")
        for name, part in match.groupdict().items():
            cells[name].append(part)
    return cells


def _joined(
    columns: Columns, read: Reader, file: Path, keys: Mapping[str, str]
) -> dict[str, list[str]]:
    if len(keys) != 1:
        raise InputError(
            f"data.join.{file.name} must have one pair of columns, as in {{subject: id}}; got "
            f"{dict(keys)}"
        )
    ((own, other),) = keys.items()
    table = read(file)
    lines: dict[str, int] = {}
    for line, key in enumerate(table.column(other)):
        lines.setdefault(key, line)
    places = [lines.get(key) for key in columns.column(own)]
    if all(place is None for place in places):
        raise InputError(
            f"no cell of {columns.source}:{own} is in {file}:{other}: correct data.join"
        )
    return {
        name: ["" if place is None else cells[place] for place in places]
        for name, cells in table.cells.items()
        if name not in columns.cells
    }


def _made(columns: Columns, column: str, template: str) -> list[str]:
    literals = FIELD.split(template)
    names, texts = literals[1::2], literals[::2]
    rows = len(columns.lines)
    own = {ROW: [str(row) for row in range(rows)]} if ROW in names else {}
    cells = [{**own, **columns.cells}.get(name) for name in names]
    if None in cells:
        absent = names[cells.index(None)]
        hint = near(absent, columns.cells)
        raise InputError(f"data.made.{column} names {absent!r}, which is no column; {hint}")
    made = [texts[0]] * rows
    for part, text in zip(cells, texts[1:], strict=True):
        assert part is not None
        made = [before + cell + text for before, cell in zip(made, part, strict=True)]
    return made


#: The default of readers: a table has the columns of its file.
NOTHING = DerivedColumns()
