"""Reads users' CSV files and tables into columns of text, and names the line of each error."""

from __future__ import annotations

import csv
import gzip
import math
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray

from debias.errors import InputError, near, shortened, shown

if TYPE_CHECKING:
    from torch import Tensor

#: Rows that are read at a time. Equal cells of a column share one string within such a chunk.
CHUNK = 256
#: Cells that mean an unknown class or bias value.
UNKNOWN = ("", "-1", "NA", "nan", "NaN", "None")
#: Numbers of classes and bias values must be below this; larger numbers are probably no labels.
MOST_VALUES = 100_000
SPLIT_POSITIONS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}
SPLIT_POSITIONS |= {"0": 0, "1": 1, "2": 2}
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


@dataclass(frozen=True)
class Columns:
    """Some columns of a file, with their cells as text.

    Args:
        source: the file from which they were read.
        lines: what messages call each row: in a CSV file, the line on which it ends, from 1.
        cells: one sequence of N cells per column name.
        unit: what ``lines`` counts, for messages.
    """

    source: Path
    lines: Sequence[int | str]
    cells: dict[str, Sequence[str]]
    unit: str = "line"

    def error(self, row: int, column: str, reason: str) -> ValueError:
        """Make the error about one cell; its message names file, line, column and value."""
        cell = shortened(repr(self.cells[column][row]))
        return InputError(
            f"{self.source}, {self.unit} {self.lines[row]}: {column} is {cell}, {reason}"
        )

    def column(self, name: str, hint: str = "") -> Sequence[str]:
        """The cells of a column.

        Args:
            name: name of the column.
            hint: end of the error message.

        Raises:
            InputError: there is no such column; the message names similar ones.
        """
        if name not in self.cells:
            raise absent_column(self.source, list(self.cells), name, hint)
        return self.cells[name]

    def take(self, rows: Sequence[int]) -> Columns:
        """The same columns, with only the given rows."""
        cells: dict[str, Sequence[str]] = {
            name: [column[row] for row in rows] for name, column in self.cells.items()
        }
        return replace(self, lines=[self.lines[row] for row in rows], cells=cells)

    def starting(self, prefix: str) -> list[str]:
        """Names of the columns that begin with a prefix."""
        return [name for name in self.cells if name.startswith(prefix)]

    def paths(self, column: str) -> tuple[str, ...]:
        """The N cells of a column of image paths.

        Raises:
            ValueError: a cell is empty.
        """
        cells = self.cells[column]
        if "" in cells:
            raise self.error(cells.index(""), column, "but must be the path of an image")
        return tuple(cells)

    def integers(self, column: str) -> Tensor:
        """``(N,)`` int64 values of a column, as :meth:`integer_array`."""
        import torch  # tables of many runs are read without it

        return torch.from_numpy(self.integer_array(column))

    def integer_array(self, column: str) -> NDArray[np.int64]:
        """``(N,)`` int64 values of a column.

        Raises:
            ValueError: a cell is not an integer.
        """
        cells = self.column(column)
        # an array of texts would give every cell the room of the longest one
        distinct = set(cells)
        if wrong := {cell for cell in distinct if not is_integer(cell)}:
            row = next(row for row, cell in enumerate(cells) if cell in wrong)
            raise self.error(row, column, "but must be an integer")
        meaning = {cell: int(cell) for cell in distinct}
        return np.array([meaning[cell] for cell in cells], dtype=np.int64)

    def numbers(self, column: str, *, finite: bool = True) -> NDArray[np.float64]:
        """``(N,)`` numbers of a column.

        Args:
            column: name of the column.
            finite: whether infinity and NaN raise an error.

        Raises:
            ValueError: a cell is not a (finite) number.
        """
        cells = self.column(column)
        parsed = [number_in(cell) for cell in cells]
        values = np.array([math.nan if number is None else number for number in parsed])
        for row in np.flatnonzero(~np.isfinite(values)).tolist():
            if finite or parsed[row] is None:
                kind = "a finite number" if finite else "a number"
                raise self.error(row, column, f"but must be {kind}")
        return values

    def choices(self, column: str, meaning: Mapping[str, int]) -> Tensor:
        """``(N,)`` int64: the number that ``meaning`` gives for each cell.

        Raises:
            ValueError: a cell is none of the keys of ``meaning``.
        """
        import torch

        cells = self.column(column)
        try:
            return torch.tensor([meaning[cell] for cell in cells], dtype=torch.int64)
        except KeyError:
            row = next(row for row, cell in enumerate(cells) if cell not in meaning)
            allowed = shown(list(meaning), 20)
            raise self.error(row, column, f"but must be one of {allowed}") from None

    def splits(self, column: str) -> Tensor:
        """``(N,)`` int64 split of each cell: 0 for train, 1 for val, 2 for test.

        A cell is a name (also "valid" or "validation") or the number itself.
        """
        return self.choices(column, SPLIT_POSITIONS)


def read_csv(
    source: Path,
    wanted: Sequence[str] | None = None,
    *,
    optional: Sequence[str] = (),
    exact: bool = False,
    hint: str = "",
) -> Columns:
    """Columns of a CSV file whose first line names its columns.

    Args:
        source: the file.
        wanted: names of the columns to read; ``None`` reads all.
        optional: names of further columns to read, if the file has them.
        exact: keep blanks around cells, and accept a file without rows. This is for files that
            debias wrote.
        hint: end of the message about a column that the file does not have.

    Raises:
        ValueError: no such file, not UTF-8, no such column, or a row that is shorter or longer than
            the header.
    """
    check_is_file(source)
    # read in pieces: the whole text of millions of rows would need as much memory as the columns
    with _opened(source) as file:
        reader = csv.reader(file, skipinitialspace=not exact)
        try:
            header = [name.strip() for name in next(reader, [])]
            numbered = ((reader.line_num, row) for row in reader)
            further = [name for name in optional if name in header]
            names = header if wanted is None else [*wanted, *further]
            return _pick(source, header, numbered, names, exact=exact, hint=hint)
        except csv.Error as error:
            message = f"{source}, line {reader.line_num}: {error}; save it as CSV again"
            raise InputError(message) from None
        except UnicodeDecodeError as error:
            raise _not_text(source, error) from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{source} is not a complete gzip file ({error}): fetch it again"
            ) from None


def _opened(source: Path) -> TextIO:
    """The text of a file, which is unpacked while it is read if its name ends in ``.gz``."""
    if source.suffix == ".gz":
        return gzip.open(source, "rt", encoding="utf-8-sig", newline="")
    return source.open(encoding="utf-8-sig", newline="")


def _not_text(source: Path, error: UnicodeDecodeError) -> InputError:
    return InputError(
        f"{source} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
    )


def read_words(
    source: Path, header: Sequence[str], wanted: Sequence[str] | None = None, *, skip: int = 0
) -> Columns:
    """Columns of a text file without column names, whose cells are words separated by blanks.

    Args:
        source: the file.
        header: names of all its columns, in order.
        wanted: names of the columns to read; ``None`` reads all.
        skip: number of lines above the rows.

    Raises:
        ValueError: no such file, not UTF-8, no such column, or a row that is shorter or longer than
            the header.
    """
    lines = read_text(source).splitlines()[skip:]
    numbered = enumerate(map(str.split, lines), start=skip + 1)
    return _pick(source, header, numbered, header if wanted is None else wanted)


def _pick(
    source: Path,
    header: Sequence[str],
    rows: Iterable[tuple[int, list[str]]],
    wanted: Sequence[str],
    *,
    exact: bool = False,
    hint: str = "",
) -> Columns:
    """The wanted columns of the rows; each row comes with its line. Blank rows are skipped."""
    _check_header(source, header)
    places = [_position(source, header, name, hint) for name in wanted]
    lines = array("q")
    columns: list[list[str]] = [[] for _ in wanted]
    checked = _whole_rows(source, header, rows)
    while chunk := list(islice(checked, CHUNK)):
        lines.extend(line for line, _ in chunk)
        for column, place in zip(columns, places, strict=True):
            cells = [row[place] for _, row in chunk]
            same = {cell: cell if exact else cell.strip() for cell in set(cells)}
            column += map(same.__getitem__, cells)
    if not (lines or exact):
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


def _check_header(source: Path, header: Sequence[str]) -> None:
    if not any(header):
        raise InputError(f"{source} has an empty first line: write the names of the columns there")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise InputError(
            f"{source}: values must be separated by commas; got the header "
            f"{shortened(repr(header[0]))}"
        )


def _position(source: Path, header: Sequence[str], name: str, hint: str) -> int:
    if header.count(name) > 1:
        raise InputError(f"{source} has two columns {name!r}: rename or remove one")
    if name not in header:
        raise absent_column(source, header, name, hint)
    return header.index(name)


def absent_column(source: Path, header: Sequence[str], name: str, hint: str = "") -> InputError:
    """Make the error about a column that a table does not have; it names similar ones."""
    return InputError(f"{source} has no column {name!r}; {near(name, header)}{hint}")


def number_in(cell: str) -> float | None:
    """The number of a cell, which may be infinite or NaN; ``None`` if it is none."""
    try:
        return None if "_" in cell else float(cell)  # Python reads 20_29 as 2029
    except ValueError:
        return None


def is_integer(cell: str) -> bool:
    """Whether a cell is an integer of at most 64 bits: a sign or none, and digits from 0 to 9."""
    return bool(_INTEGER.fullmatch(cell)) and -(2**63) <= int(cell) < 2**63


def check_is_file(source: Path) -> None:
    """Raise an ``InputError`` if the path is not a file."""
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
