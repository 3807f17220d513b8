"""Which files exist. Each folder is listed once, since a check per file is far slower."""

import os
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from debias.errors import InputError


class Located(NamedTuple):
    """Positions of the paths without a file, and of the paths that links lead out of the root."""

    missing: list[int]
    outside: list[int]


def first_file(candidates: Iterable[Path], *, absent: str) -> Path:
    """The first candidate that is an existing file.

    Raises:
        InputError: no candidate is a file. The message is ``absent``.
    """
    first = next((path for path in candidates if path.is_file()), None)
    if first is None:
        raise InputError(absent)
    return first


def files_below(root: Path) -> list[Path]:
    """All files at any depth below a folder, in order of path.

    Hidden files and folders are ignored. Links to folders are followed. Each folder is listed once:
    at its own place if that is below ``root``, and else at the first link to it.
    """
    found, seen, starts = list[Path](), set[str](), [root]
    while starts:
        links = list[Path]()
        for start in starts:
            for place, folders, files in os.walk(start):
                if (real := os.path.realpath(place)) in seen:
                    folders.clear()
                    continue
                seen.add(real)
                folders[:] = [name for name in folders if not name.startswith(".")]
                found += (Path(place, name) for name in files if not name.startswith("."))
                links += (link for name in folders if (link := Path(place, name)).is_symlink())
        starts = sorted(links)
    return sorted(found)


def below_shared_folder(paths: Sequence[str]) -> list[str]:
    """The paths without the folder that all of them share, so that the root may be any above it.

    Example:
        >>> below_shared_folder(["set/train/1.jpg", "set/test/2.jpg"])
        ['train/1.jpg', 'test/2.jpg']
    """
    folders = [folder.split("/") for folder in {path.rpartition("/")[0] for path in paths}]
    # what the first and the last in order share, all share
    first, last = min(folders, default=[]), max(folders, default=[])
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    shared = [part for part, _ in pairs]
    above = sum(len(part) + 1 for part in shared) if any(shared) else 0
    return [path[above:] for path in paths]


def missing_files(root: Path, paths: Sequence[str]) -> list[int]:
    """Positions of the paths that have no file in ``root``. Empty paths are never missing."""
    return locate(root, paths, follow_links=True).missing


def locate(root: Path, paths: Sequence[str], *, follow_links: bool = False) -> Located:
    """Find paths without a file in ``root``, and paths that links lead out of ``root``.

    An empty path is neither missing nor outside. The root itself may be a link. Links are resolved
    once per folder and once per file that is a link.

    Args:
        root: a folder.
        paths: posix style, without "..".
        follow_links: whether links may lead out of the root. Then no link is resolved, and no path
            counts as outside.
    """
    real = None if follow_links else os.path.realpath(root)
    listed: dict[str, tuple[set[str], set[str]]] = {}
    located = Located([], [])
    for position, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        if folder not in listed:
            listed[folder] = _listed(os.path.join(root, folder), real)
        files, outside = listed[folder]
        if name in files:
            if name in outside:
                located.outside.append(position)
        elif path:
            located.missing.append(position)
    return located


def _listed(folder: str, real_root: str | None) -> tuple[set[str], set[str]]:
    """The names of a folder's files, and the names among them that links lead out of the root."""
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
