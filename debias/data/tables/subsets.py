"""Rows of a table that are left out, because they have no class or no picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from debias.csv_files import UNKNOWN, Columns
from debias.data.examples import SPLITS
from debias.data.listing import missing_files
from debias.errors import InputError
from debias.progress import say


@dataclass(frozen=True)
class TableRows:
    """Some rows of a table, before their labels are known.

    Args:
        columns: their cells.
        names: their names, which are the paths of their pictures if these are files.
        kept: their positions in the table.
        split: ``(N,)`` int64 positions in ``SPLITS``; ``None`` if splits are to be drawn.
    """

    columns: Columns
    names: tuple[str, ...]
    kept: Sequence[int]
    split: Tensor | None

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> TableRows:
        """Only the rows at these positions."""
        return TableRows(
            self.columns.take(rows),
            tuple(self.names[row] for row in rows),
            [self.kept[row] for row in rows],
            None if self.split is None else self.split[torch.tensor(rows, dtype=torch.int64)],
        )


def rows_with_class(rows: TableRows, target: str, names: Sequence[str] | None) -> list[int]:
    """Positions of the rows whose class is known. A line says how many have none.

    Args:
        rows: the rows.
        target: column of the classes.
        names: the classes, among which may be texts that otherwise mean a missing class.

    Raises:
        InputError: no row of a split has a class.
    """
    unknown = set(UNKNOWN) - set(names or ())
    cells = rows.columns.column(target)
    return _kept(rows, [row for row, cell in enumerate(cells) if cell not in unknown], "class")


def rows_with_picture(rows: TableRows, root: Path) -> list[int]:
    """Positions of the rows whose picture is in ``root``. A line says how many have none.

    Raises:
        InputError: no row of a split has a picture.
    """
    missing = set(missing_files(root, rows.names))
    return _kept(rows, [row for row in range(len(rows)) if row not in missing], "picture")


def _kept(rows: TableRows, kept: list[int], what: str) -> list[int]:
    """The positions ``kept``, after the line that says how many rows are left out."""
    if len(kept) == len(rows):
        return kept
    split = torch.zeros(len(rows), dtype=torch.int64) if rows.split is None else rows.split
    before = torch.bincount(split, minlength=len(SPLITS))
    after = torch.bincount(split[torch.tensor(kept, dtype=torch.int64)], minlength=len(SPLITS))
    names = SPLITS if rows.split is not None else ("all",)
    counts = list(zip(names, before.tolist(), after.tolist(), strict=False))
    for name, count, left in counts:
        if count and not left:
            remedy = "draw splits of the other rows by data.shares=[0.8,0.1,0.1]"
            raise InputError(
                f"{rows.columns.source}: none of {count} rows "
                f"{'' if rows.split is None else f'of the split {name} '}has a {what}: "
                f"{remedy if what == 'class' else 'correct data.root, or put pictures there'}"
            )
    left_out = ", ".join(f"{name} {count - left} of {count}" for name, count, left in counts)
    say(f"{rows.columns.source}: rows without a {what} are left out: {left_out}")
    return kept
