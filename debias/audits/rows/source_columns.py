"""The columns of the table from which the images under audit were read."""

import csv
import gzip
import io
from functools import lru_cache
from pathlib import Path

from debias.data.examples import Examples
from debias.files import file_state


def source_columns(examples: Examples) -> dict[str, tuple[str, ...]]:
    """The cells of all rows by column, as text.

    Empty if the source is no CSV file, or if its lines are not the rows one by one.
    """
    name = examples.source.name
    if not name.endswith((".csv", ".csv.gz")) or not examples.source.is_file():
        return {}
    return _columns(examples.source, examples.images, file_state(examples.source))


@lru_cache(maxsize=1)
def _columns(source: Path, images: tuple[str, ...], state: str) -> dict[str, tuple[str, ...]]:
    """The columns. Another state of the file is read again, although the path is the same."""
    content = source.read_bytes()
    text = (gzip.decompress(content) if source.suffix == ".gz" else content).decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    if not lines or len(lines) != len(images):
        return {}
    columns = {name: tuple(line[name] or "" for line in lines) for name in lines[0] if name}
    aligned = (
        all(image.endswith(cell or "\0") for image, cell in zip(images, cells, strict=True))
        for cells in columns.values()
    )
    return columns if any(aligned) else {}
