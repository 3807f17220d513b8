"""A CSV file of predictions as columns of text, and what they hold; a fault names file and line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from debias.errors import InputError, shortened, shown

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Columns:
    """The cells of a CSV file by the names in its first line.

    Args:
        path: of the file.
        cells: N cells of each column.
    """

    path: Path
    cells: Mapping[str, Sequence[str]]

    def __getitem__(self, name: str) -> Sequence[str]:
        """The cells of a column.

        Raises:
            InputError: there is no such column.
        """
        if name not in self.cells:
            raise self.lacking(repr(name))
        return self.cells[name]

    def starting(self, prefix: str) -> list[str]:
        """Names of the columns that begin with a prefix."""
        return [name for name in self.cells if name.startswith(prefix)]

    def lacking(self, what: str) -> InputError:
        """The error about a column that is not there."""
        return self.fault(1, f"no column {what} among {shown(list(self.cells), 10)}")

    def fault(self, line: int, text: str) -> InputError:
        """The error about a line."""
        return InputError(f"{self.path}, line {line}: {text}")

    def numbers(self, name: str, convert: Callable[[str], Number], kind: str) -> list[Number]:
        """The cells of a column as numbers.

        Args:
            name: of the column.
            convert: text to number.
            kind: what the cells must be, such as "a whole number".

        Raises:
            InputError: naming the first cell that is none.
        """
        found = []
        for line, cell in enumerate(self[name], start=2):
            try:
                found.append(convert(cell))
            except ValueError:
                raise self.fault(line, f"{name} is {shortened(repr(cell))}, not {kind}") from None
        return found


def read_columns(path: Path, *, skip_spaces: bool = False) -> Columns:
    """Every column of a CSV file.

    Args:
        path: the file.
        skip_spaces: drop the spaces after a comma.

    Raises:
        InputError: no such file, another kind of file, a column that is there twice, or a row of
            another length than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = csv.reader(file, skipinitialspace=skip_spaces)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a CSV file") from None
    except (ValueError, csv.Error):
        raise InputError(f"{path}: empty or not UTF-8, so it is no CSV file") from None
    while rows and not rows[-1]:
        rows.pop()
    columns = Columns(path, dict.fromkeys(header, ()))
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        found = shortened(repr(header[0]))
        raise columns.fault(1, f"values must be separated by commas; the header is {found}")
    if repeated := [name for name in header if header.count(name) > 1]:
        raise columns.fault(1, f"column {repeated[0]!r} is there more than once")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise columns.fault(
                line, f"{len(row)} values, but the header has {len(header)} columns"
            )
    cells = zip(*rows, strict=True) if rows else ((),) * len(header)
    return Columns(path, dict(zip(header, cells, strict=True)))
