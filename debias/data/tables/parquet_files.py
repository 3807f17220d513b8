"""Reads columns of a Parquet file as text, like those of a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from debias.csv_files import Columns, absent_column, check_is_file
from debias.errors import InputError


def read_parquet(source: Path, wanted: Sequence[str] | None, *, hint: str = "") -> Columns:
    """Columns of a Parquet file, as text. Needs the extra ``parquet``.

    A missing value becomes an empty cell. Whole numbers that are stored as floats, as pandas does
    for a column with missing values, become integers.

    Args:
        source: the file.
        wanted: names of the columns to read; ``None`` reads all that are text or numbers.
        hint: end of the message about a column that the file does not have.

    Raises:
        ValueError: no such file, not a Parquet file, no such column, a wanted column that is not
            text or numbers, or no rows.
    """
    pyarrow, parquet = _pyarrow()
    check_is_file(source)
    try:
        with parquet.ParquetFile(source) as file:
            header = file.schema_arrow.names
            names = header if wanted is None else list(wanted)
            if absent := [name for name in names if name not in header]:
                raise absent_column(source, header, absent[0], hint)
            table = file.read(columns=names)
    except pyarrow.ArrowException as error:
        reason = " ".join(str(error).split())
        raise InputError(f"cannot read {source} as Parquet ({reason}): write it again") from None
    if not len(table):
        raise InputError(f"{source} has no rows: add one row per image")
    cells: dict[str, Sequence[str]] = {}
    for name in names:
        try:
            cells[name] = text_cells(source, name, table.column(name))
        except InputError:
            if wanted is not None:
                raise
    return Columns(source, range(1, len(table) + 1), cells, unit="row")


def text_cells(source: Path, name: str, column: Any) -> list[str]:
    """The cells of an Arrow column as text. Equal cells are one string.

    Args:
        source: the file of the column, for messages.
        name: name of the column.
        column: a ``pyarrow.ChunkedArray`` of text or numbers.

    Raises:
        ValueError: the column contains neither text nor numbers.
    """
    pyarrow, _ = _pyarrow()
    if pyarrow.types.is_floating(column.type):
        # NaN is a missing value; Arrow writes 1.0 as "1"
        column = pyarrow.chunked_array([pyarrow.array(column.to_numpy(), from_pandas=True)])
    try:
        texts = column.cast(pyarrow.large_string()).combine_chunks().dictionary_encode()
    except pyarrow.ArrowException:
        raise InputError(
            f"{source}: the column {name!r} contains {column.type}, but must be text or numbers"
        ) from None
    distinct = [text.strip() for text in texts.dictionary.to_pylist()]
    return ["" if place is None else distinct[place] for place in texts.indices.to_pylist()]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        remedy = 'pip install "debias-vision[parquet]"'
        raise InputError(f"a Parquet file needs pyarrow: {remedy}") from None
    return pyarrow, parquet
