"""Reads the named columns of a table of rows, and says which line of which file is wrong."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from debias.errors import InputError, near, shortened, shown

#: Rows that are turned into columns at a time; equal cells among them are kept as one string.
CHUNK = 256
SPLIT_POSITIONS = {
    "train": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "test": 2,
    "0": 0,
    "1": 1,
    "2": 2,
}


@dataclass(frozen=True)
class Columns:
    """The cells of some columns, as text.

    Args:
        source: the file they were read from.
        lines: the line of the file that each row ends on, from 1.
        cells: one sequence of N cells per column name.
    """

    source: Path
    lines: Sequence[int]
    cells: dict[str, Sequence[str]]

    def error(self, row: int, column: str, reason: str) -> ValueError:
        """The error of one cell, naming file, line, column and value."""
        cell = shortened(repr(self.cells[column][row]))
        return InputError(f"{self.source}, line {self.lines[row]}: {column} is {cell}, {reason}")

    def paths(self, column: str) -> tuple[str, ...]:
        """N paths, posix style.

        Raises:
            ValueError: a cell is empty.
        """
        cells = self.cells[column]
        if "" in cells:
            raise self.error(cells.index(""), column, "but must be the path of an image")
        return tuple(cells)

    def integers(self, column: str) -> Tensor:
        """``(N,)`` int64 values of a column.

        Raises:
            ValueError: a cell is not an integer.
        """
        cells = self.cells[column]
        try:
            return torch.from_numpy(np.array(cells, dtype=np.str_).astype(np.int64))
        except (ValueError, OverflowError):
            row = next(row for row, cell in enumerate(cells) if not is_integer(cell))
            raise self.error(row, column, "but must be an integer") from None

    def choices(self, column: str, meaning: dict[str, int]) -> Tensor:
        """``(N,)`` int64 meaning of each cell.

        Raises:
            ValueError: a cell is none of the keys of ``meaning``.
        """
        cells = self.cells[column]
        try:
            return torch.tensor([meaning[cell] for cell in cells], dtype=torch.int64)
        except KeyError:
            row = next(row for row, cell in enumerate(cells) if cell not in meaning)
            raise self.error(
                row, column, f"but must be one of {shown(list(meaning), 20)}"
            ) from None

    def splits(self, column: str) -> Tensor:
        """``(N,)`` int64 positions in ``SPLITS``, of names (also "valid", "validation") or 0-2."""
        return self.choices(column, SPLIT_POSITIONS)


def read_csv(source: Path, wanted: Sequence[str]) -> Columns:
    """The named columns of a CSV file whose first line names its columns.

    Raises:
        ValueError: no such file, not UTF-8, no such column, or a row that is shorter or longer than
            the header.
    """
    check_is_file(source)
    # read as it comes: the text of millions of rows is as large as all that is kept of it
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            header = [name.strip() for name in next(reader, [])]
            return pick(source, header, ((reader.line_num, row) for row in reader), wanted)
        except csv.Error as error:
            raise InputError(
                f"{source}, line {reader.line_num}: {error}; save it as CSV anew"
            ) from None
        except UnicodeDecodeError:
            read_text(source)  # says at which byte of the file
            raise


def pick(
    source: Path,
    header: Sequence[str],
    rows: Iterable[tuple[int, list[str]]],
    wanted: Sequence[str],
) -> Columns:
    """The wanted columns of numbered rows; blank rows are passed over.

    Raises:
        ValueError: no such column, two of the name, no row, or a row that is shorter or longer than
            the header.
    """
    places = [position(source, header, name) for name in wanted]
    lines = array("q")
    columns: list[list[str]] = [[] for _ in wanted]
    checked = _whole_rows(source, header, rows)
    while chunk := list(islice(checked, CHUNK)):
        lines.extend(line for line, _ in chunk)
        for column, place in zip(columns, places, strict=True):
            same: dict[str, str] = {}
            column += [
                same.setdefault(cell, cell) for cell in [row[place].strip() for _, row in chunk]
            ]
    if not lines:
        raise InputError(f"{source} has a header and no rows: add one row per image")
    return Columns(source, lines, dict(zip(wanted, columns, strict=True)))


def _whole_rows(
    source: Path, header: Sequence[str], rows: Iterable[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    for numbered in rows:
        line, row = numbered
        if len(row) == len(header):
            yield numbered
        elif row:
            raise InputError(
                f"{source}, line {line}: {len(row)} columns, but the header has {len(header)}"
            )


def position(source: Path, header: Sequence[str], name: str) -> int:
    """The place of a column.

    Raises:
        InputError: no column of this name, with the nearest names; or several.
    """
    if header.count(name) > 1:
        raise InputError(f"{source}: the column {name!r} is there twice: rename or remove one")
    if name in header:
        return header.index(name)
    raise InputError(
        f"{source} has no column {name!r}; "
        f"{near(name, header) if header else 'it has no header line'}"
    )


def is_integer(cell: str) -> bool:
    """Whether a cell is an integer of at most 64 bits."""
    try:
        return -(2**63) <= int(cell) < 2**63
    except ValueError:
        return False


def check_is_file(source: Path) -> None:
    """Refuse a path where there is no file."""
    if not source.is_file():
        raise InputError(f"no file {source}: correct the path, or put the file there")


def read_text(source: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        ValueError: no such file, or not UTF-8.
    """
    check_is_file(source)
    try:
        return source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from None
