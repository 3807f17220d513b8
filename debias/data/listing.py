"""Which files exist, by one listing of each folder: to ask for each file takes far longer."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from debias.errors import InputError


class Located(NamedTuple):
    """Positions of the paths that are no file, and of those that links lead out of root."""

    missing: list[int]
    outside: list[int]


def first_file(candidates: Iterable[Path], *, absent: str) -> Path:
    """The first path at which there is a file.

    Raises:
        InputError: there is none; its message is ``absent``.
    """
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise InputError(absent)
    return found


def missing_files(root: Path, paths: Sequence[str]) -> list[int]:
    """Positions of the paths that are no file in ``root``; an empty path counts as there."""
    return locate(root, paths, follow_links=True).missing


def locate(root: Path, paths: Sequence[str], *, follow_links: bool = False) -> Located:
    """Find the files of some paths in ``root``; an empty path is neither missing nor outside.

    The root itself may be a link. Each folder is resolved once, and besides only those files that
    are links.

    Args:
        root: a folder.
        paths: posix style, without "..".
        follow_links: whether links may lead out of the root; nothing is resolved then, and nothing
            is outside.
    """
    real = None if follow_links else os.path.realpath(root)
    listed: dict[str, tuple[set[str], set[str]]] = {}
    found = Located([], [])
    for position, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        if folder not in listed:
            listed[folder] = _listed(os.path.join(root, folder), real)
        files, outside = listed[folder]
        if name in files:
            if name in outside:
                found.outside.append(position)
        elif path:
            found.missing.append(position)
    return found


def _listed(folder: str, real_root: str | None) -> tuple[set[str], set[str]]:
    """The names of a folder's files, and those of them that a link leads out of the root."""
    try:
        with os.scandir(folder) as entries:
            files = {entry.name: entry.is_symlink() for entry in entries if entry.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        return set(), set()
    if real_root is None:
        return set(files), set()
    if not _inside(os.path.realpath(folder), real_root):
        return set(files), set(files)
    linked = (name for name, is_link in files.items() if is_link)
    real = {name: os.path.realpath(f"{folder}/{name}") for name in linked}
    return set(files), {name for name, path in real.items() if not _inside(path, real_root)}


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
