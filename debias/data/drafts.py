"""Folders that are there whole or not at all."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A new folder, which takes the name ``folder`` when it is complete, unless that exists."""
    draft = folder.parent / f".{folder.name}-{uuid.uuid4().hex}"
    draft.mkdir(parents=True)
    try:
        yield draft
        with suppress(OSError):
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
