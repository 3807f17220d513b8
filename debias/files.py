"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file to write in place of another, which it becomes at the end; what is half written is removed.

    Other processes see the old file or the new one. The folder is made if needed.

    Args:
        path: the file that is meant.

    Yields:
        The file to write; each process has one of its own, in the same folder.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "made" / "note.txt"
        >>> with written_whole(path) as beside:
        ...     _ = beside.write_text("all of it")
        ...     path.exists()
        False
        >>> path.read_text(), len(list(path.parent.iterdir()))
        ('all of it', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Write UTF-8 text, or bytes, to a file that other processes see whole or not at all."""
    with written_whole(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
