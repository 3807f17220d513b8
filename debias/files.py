"""Files and folders that appear whole or not at all, and stay after a power cut."""

import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path


@contextmanager
def written_whole(path: Path, *, keep: Path | None = None, durable: bool = True) -> Iterator[Path]:
    """A file to write beside another, which it replaces at the end; a half-written one is removed.

    Other processes see the old file or the new one. The folder is made if needed.

    Args:
        path: the final file.
        keep: receives the file that is replaced. For a moment, ``path`` is then absent.
        durable: wait until the disk has the file. ``False`` suits many small files that can be made
            again.

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
    """Write text as UTF-8, or bytes, whole or not at all; see :func:`written_whole`."""
    with written_whole(path, keep=keep, durable=durable) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def made_whole(folder: Path, *, shared: bool = False) -> Iterator[Path]:
    """A new folder to fill, which gets its name at the end, with all that is in it.

    Args:
        folder: the final folder. It must be absent or empty at the end.
        shared: whether another process may have made the same folder since. Its folder stays then.

    Yields:
        The folder to fill, beside the final one.

    Raises:
        OSError: another process has made the folder since, it holds something, and it is not
            shared.
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
    """Remove what killed processes were writing beside a file or folder, and inside the folder.

    No other process may write there meanwhile.
    """
    pattern = _unfinished(glob.escape(path.name))
    for left in (*path.parent.glob(pattern), *path.rglob(_unfinished("*"))):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


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
