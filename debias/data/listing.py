"""Which files are there, by listing each folder once: asking after each of 200,000 files takes far longer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def missing_files(root: Path, paths: Sequence[str]) -> list[int]:
    """Positions of the paths, relative to ``root``, that are no file there; an empty path counts as there."""
    listed: dict[str, set[str]] = {}
    missing = []
    for position, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        if folder not in listed:
            listed[folder] = _files(root / folder)
        if path and name not in listed[folder]:
            missing.append(position)
    return missing


def _files(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        return set()
