"""Data sets on object storage: brought once to a local copy, which everything else reads."""

from pathlib import Path
from typing import Any

from filelock import FileLock

from debias.errors import InputError
from debias.storage.copies import Copy
from debias.storage.urls import copies_folder, is_url, local_copy, opened, told_errors


def with_copies(options: dict[str, Any], cache_dir: str | None) -> dict[str, Any]:
    """Options of a data set, with the path of a local copy in place of each URL.

    The files of a URL are brought first. Several processes may do so at once.

    Args:
        options: the options, such as ``root``.
        cache_dir: the cache folder; ``None`` means that of ``DEBIAS_CACHE``.

    Raises:
        InputError: no cache folder is named, or the storage cannot be read.
    """
    return {
        key: str(brought(f"data.{key}", value, cache_dir)) if is_url(value) else value
        for key, value in options.items()
    }


def brought(key: str, url: str, cache_dir: str | None) -> Path:
    """Make a local copy of a folder or file on object storage, or bring it up to date.

    Args:
        key: the setting that names it, for messages.
        url: its URL.
        cache_dir: the cache folder; ``None`` means that of ``DEBIAS_CACHE``.

    Returns:
        The local copy. Its files have the times of change of the objects.

    Raises:
        InputError: no cache folder is named, the storage cannot be read, or has no such files.
    """
    folder = local_copy(key, url, cache_dir)
    copy = Copy(opened(key, url), folder, copies_folder(key, url, cache_dir))
    copy.lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(copy.lock), told_errors(key, url):
        copy = Copy(copy.place, folder, copy.note.parents[1])  # another process may have pulled
        if not copy.pull():
            raise InputError(f"{key}={url} has no files: check the bucket and the path")
    return folder
