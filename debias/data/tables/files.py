"""The files of a table: CSV or Parquet, one for all splits or one per split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from debias.csv_files import SPLIT_POSITIONS, Columns, absent_column, read_csv
from debias.data.tables.derived import NOTHING, DerivedColumns, derive
from debias.data.tables.parquet_files import read_parquet
from debias.errors import InputError, check_one_of

#: Start of the path of a file below the root, as in "{root}/metadata.csv".
ROOT = "{root}"
#: End of the message about a column that a table does not have.
SET = (
    ". Set data.path, data.target, data.bias (or null) and data.split to columns of the table; "
    "data.shares=[0.8,0.1,0.1] draws splits"
)


def read_table(
    source: Path | Mapping[str, Path],
    wanted: Sequence[str],
    derived: DerivedColumns,
    *,
    split: str | None,
) -> Columns:
    """Read columns of a table, or of one table per split in a row.

    Args:
        source: the file; or the files by the name of their split.
        wanted: names of the columns.
        derived: how columns that are not in the file are made.
        split: with several files, the column that gets the name of the split. It is not read.

    Raises:
        ValueError: a file or column does not exist, a file cannot be read, or a column cannot be
            made.
    """
    plain = isinstance(source, Path)
    files = {"": source} if isinstance(source, Path) else source
    # which columns of the files further ones are made of is not known here: all are read
    names = [name for name in wanted if plain or name != split] if derived == NOTHING else None
    parts = {name: _read(path, names) for name, path in files.items()}
    columns = _pooled([*parts.values()])
    if derived != NOTHING:
        columns = derive(columns, _read, next(iter(files.values())).parent, derived)
    cells = dict(columns.cells)
    if split is not None and not plain:
        for name in parts:
            check_one_of(SPLIT_POSITIONS, {"a split of data.file": name})
        cells[split] = [name for name, part in parts.items() for _ in part.lines]
    if absent := [name for name in wanted if name not in cells]:
        raise absent_column(columns.source, list(cells), absent[0], SET)
    return replace(columns, cells={name: cells[name] for name in wanted})


def table_columns(source: Path) -> list[str]:
    """Names of the columns of a table.

    Raises:
        ValueError: the file does not exist or cannot be read.
    """
    return list(_read(source).cells)


def _pooled(parts: Sequence[Columns]) -> Columns:
    """The rows of several tables in a row, with the columns that all of them have."""
    first = parts[0]
    if len(parts) == 1:
        return first
    names = [name for name in first.cells if all(name in part.cells for part in parts)]
    return replace(
        first,
        source=first.source.parent,
        lines=[f"{part.source.name}:{line}" for part in parts for line in part.lines],
        cells={name: [cell for part in parts for cell in part.cells[name]] for name in names},
    )


def table_source(
    file: str | Mapping[str, str] | None, csv: str | None, root: str | None
) -> Path | dict[str, Path]:
    """The file of a table, or its files by split.

    Args:
        file: a path, or paths by split. ``{root}`` at its start means ``root``.
        csv: an older name of ``file``.
        root: the folder of the images, or ``None``.

    Raises:
        ValueError: both are given, or none, or no file.
    """
    if file is not None and csv is not None:
        raise InputError(f"data.file={file} and data.csv={csv} name two tables: leave one out")
    source = csv if file is None else file
    if not source:
        raise InputError("data needs file: add data.file=TABLE.csv or data.file=TABLE.parquet")
    if isinstance(source, str):
        return _located(source, root)
    return {split: _located(path, root) for split, path in source.items()}


def _located(file: str, root: str | None) -> Path:
    if not file.startswith(ROOT):
        return Path(file)
    if root is None:
        raise InputError(f"data.file={file} is below the root: set data.root=PATH")
    return Path(root + file.removeprefix(ROOT))


def _read(source: Path, wanted: Sequence[str] | None = None) -> Columns:
    read = read_parquet if source.suffix == ".parquet" else read_csv
    return read(source, wanted, hint=SET)
