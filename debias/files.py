"""Atomic writing: a file or folder appears complete or not at all, and survives a power cut."""

import glob
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path


@contextmanager
def written_whole(path: Path, *, keep: Path | None = None, durable: bool = True) -> Iterator[Path]:
    """Write a file atomically: the caller fills a temporary file, which replaces the final one.

    Other processes see the old file or the new one, never a part of it. If an error occurs, the
    temporary file is removed. The folder is created if needed.

    Args:
        path: the final file.
        keep: path to which the old file is moved. For a moment, ``path`` is then absent.
        durable: wait until the disk has the file. ``False`` suits many small files that can be
            written again.

    Yields:
        Path of the temporary file to write. It is in the same folder; each call has its own.

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
    _make_folder(path.parent)
    beside = _beside(path)
    try:
        yield beside
        if durable:
            _synchronise_file(beside)
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(beside, path)
        if durable:
            _synchronise_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_atomically(
    path: Path, content: str | bytes | memoryview, *, keep: Path | None = None, durable: bool = True
) -> None:
    """Write a text (as UTF-8) or bytes atomically; arguments as in :func:`written_whole`."""
    with written_whole(path, keep=keep, durable=durable) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def link_whole(source: Path, target: Path) -> None:
    """Give a file a second name, atomically and durably; copy it where the disk has no such links.

    Files that debias writes are replaced and never changed in place, so that two names are safe.

    Args:
        source: the existing file.
        target: the second name. A file that has this name already is replaced.

    Raises:
        OSError: ``source`` does not exist, or the disk is full.
    """
    with written_whole(target) as beside:
        try:
            os.link(source, beside)
        except FileNotFoundError:
            raise
        except OSError:  # another disk, another owner, or a file system without hard links
            shutil.copyfile(source, beside)


def is_whole_archive(path: Path) -> bool:
    """Whether a ZIP file, such as one that ``torch.save`` wrote, exists and is undamaged."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (FileNotFoundError, zipfile.BadZipFile):
        return False


@contextmanager
def made_whole(folder: Path, *, shared: bool = False) -> Iterator[Path]:
    """Create a folder atomically: the caller fills a temporary one, which is renamed at the end.

    Args:
        folder: the final folder. It must be absent or empty at the end.
        shared: whether another process may create the same folder meanwhile. Then the folder of the
            other process stays.

    Yields:
        Path of the temporary folder, beside the final one.

    Raises:
        OSError: ``folder`` exists and is not empty, and ``shared`` is false.
    """
    _make_folder(folder.parent)
    beside = _beside(folder)
    beside.mkdir()
    try:
        yield beside
        with suppress(OSError) if shared else nullcontext():
            os.replace(beside, folder)
        _synchronise_folder(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_unfinished(path: Path) -> None:
    """Remove the temporary files that killed processes left beside a path, and inside a folder.

    Call it only while no other process writes there.
    """
    pattern = _unfinished(glob.escape(path.name))
    for draft in (*path.parent.glob(pattern), *path.rglob(_unfinished("*"))):
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(_unfinished(path.name, uuid.uuid4().hex))


def _unfinished(name: str, draft: str = "*") -> str:
    return f".{name}.{draft}.tmp"


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _synchronise_folder(folder.parent)


def _synchronise_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _synchronise_folder(folder: Path) -> None:
    with suppress(OSError):  # some systems and network disks do not synchronise folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def file_state(path: Path | None) -> str:
    """Names, sizes and times of a file, or of all files of a folder; empty for ``None``."""
    if path is None:
        return ""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files]
    return " ".join(f"{file} {state.st_size} {state.st_mtime_ns}" for file, state in states)
