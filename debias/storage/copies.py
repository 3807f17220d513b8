"""Local copies of files on object storage: listing, bringing and sending whole files."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, NamedTuple

from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import json_text, read_json
from debias.progress import LongWork
from debias.storage.urls import Place

#: Files that are brought at a time.
THREADS = 16
#: Bytes of a request. An interrupted file continues after its last whole request.
CHUNK = 2**26
#: Listings that may differ, before a folder that changes all the time is an error.
TRIES = 3
_MB = 10**6
#: What identifies the content of an object, and when it was written, in the words of each package.
_MARKS = ("ETag", "etag", "md5Hash")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


class StoredFile(NamedTuple):
    """An object.

    Attributes:
        size: bytes.
        modified: when it was written, in nanoseconds since 1970. The local copy has the same time.
        mark: identifies its content: its ETag, or another text that a change changes.
    """

    size: int
    modified: int
    mark: str


class Note(NamedTuple):
    """What is known of a local file: it is the object with this mark, if its state is this one."""

    size: int
    modified: int
    mark: str


def listing(place: Place, wanted: Callable[[str], bool] | None = None) -> dict[str, StoredFile]:
    """The files of a folder on the storage, by their path in it. A single file has an empty path.

    Args:
        place: the folder or file.
        wanted: whether to list a path; default: all.

    Raises:
        InputError: a name leaves the folder.
    """
    place.files.invalidate_cache()
    found = {}
    for path, info in place.files.find(place.path, detail=True).items():
        if path.endswith("/"):  # an empty object with which some programs mark a folder
            continue
        name = path.strip("/").removeprefix(place.path.strip("/")).strip("/")
        if ".." in PurePosixPath(name).parts:
            raise InputError(f"{place.url} has an object {name!r}, which leaves its folder")
        if wanted is None or wanted(name):
            found[name] = _stored(info)
    return found


def _stored(info: Mapping[str, Any]) -> StoredFile:
    written = next((info[key] for key in _TIMES if info.get(key) is not None), 0)
    mark = next((str(info[key]) for key in _MARKS if info.get(key)), str(written))
    if isinstance(written, str):
        written = datetime.fromisoformat(written.replace("Z", "+00:00"))
    seconds = written.timestamp() if isinstance(written, datetime) else float(written)
    return StoredFile(int(info["size"]), round(seconds * 1e6) * 1000, mark)


class Copy:
    """The local copy of a folder or file on object storage.

    A note beside all copies says which object each local file is. Local files that were never on
    the storage are left alone.

    Args:
        place: the folder or file on the storage.
        folder: its local copy.
        copies: the folder of all local copies, which has the notes.
    """

    def __init__(self, place: Place, folder: Path, copies: Path) -> None:
        self.place, self.folder = place, folder
        name = folder.relative_to(copies).as_posix()
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        self.note = copies / "notes" / f"{digest}.json"
        self.lock = self.note.with_suffix(".lock")
        self.parts = self.note.with_suffix(".parts")
        self.known: dict[str, Note] = {}
        with suppress(InputError):  # without a note, sizes and times say what is there
            rows = read_json(self.note, dict, entries={}, remedy="")
            self.known = {name: Note(*row) for name, row in rows.items()}

    def pull(self, wanted: Callable[[str], bool] | None = None, *, live: bool = False) -> int:
        """Make the local files equal to those on the storage; continue an interrupted pull.

        A file is brought if its size, time or mark differ. If the storage changes meanwhile, the
        changed files are brought again. Files that the storage has no more are removed.

        Args:
            wanted: which paths to look at; default: all.
            live: the storage may change all the time. Its last changes come with the next pull.

        Returns:
            The number of files on the storage.

        Raises:
            InputError: the disk has no room, or the storage changes all the time.
        """
        stored = listing(self.place, wanted)
        for _ in range(TRIES):
            self._bring({name: file for name, file in stored.items() if not self._has(name, file)})
            before, stored = stored, listing(self.place, wanted)
            if stored == before:
                break
        here = {name: Note(*file) for name, file in stored.items() if self._has(name, file)}
        if not live and len(here) < len(stored):
            named = f"{self.place.key}={self.place.url}"
            raise InputError(f"{named} changes while it is copied: wait until it is whole")
        self._forget(self.known.keys() - stored.keys(), wanted)
        self.known |= here
        self.remember()
        shutil.rmtree(self.parts, ignore_errors=True)
        return len(stored)

    def remember(self) -> None:
        """Write the note."""
        write_atomically(self.note, json_text(self.known), durable=False)

    def local(self, name: str) -> Path:
        """The local file of a path."""
        return self.folder / name if name else self.folder

    def _forget(self, names: set[str], wanted: Callable[[str], bool] | None) -> None:
        for name in names:
            if wanted is None or wanted(name):
                self.local(name).unlink(missing_ok=True)
                del self.known[name]

    def _has(self, name: str, file: StoredFile) -> bool:
        """Whether the local file is this object."""
        state, note = _state(self.local(name)), self.known.get(name)
        if note is not None and state == note[:2]:
            return note.mark == file.mark
        return state == file[:2]

    def _bring(self, missing: Mapping[str, StoredFile]) -> None:
        if not missing:
            return
        total = sum(file.size for file in missing.values())
        self.parts.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.parts).free
        if total > free:
            raise InputError(
                f"the copy of {self.place.url} needs {total / _MB:,.0f} MB; the disk of "
                f"{self.parts.parent} has {free / _MB:,.0f} MB left: make room, or name another "
                "cache folder"
            )
        work = LongWork(f"copying {self.place.url}", total // _MB + 1, "MB")
        with work, ThreadPoolExecutor(THREADS) as pool:
            received = _Megabytes(work)
            for one in [pool.submit(self._download, *item, received) for item in missing.items()]:
                one.result()

    def _download(self, name: str, file: StoredFile, received: "_Megabytes") -> None:
        """Bring one file, after the bytes that an interrupted call left; not one that changes."""
        path = self.place.below(name)
        part = self.parts / hashlib.sha256(f"{name}\0{file.mark}".encode()).hexdigest()[:32]
        with part.open("ab") as handle:
            received.add(handle.tell())
            while (start := handle.tell()) < file.size:
                end = min(start + CHUNK, file.size)
                content = b""
                with suppress(FileNotFoundError):
                    content = self.place.files.cat_file(path, start=start, end=end)
                if len(content) != end - start:  # the object is another one by now, or none
                    return part.unlink()
                handle.write(content)
                received.add(len(content))
            handle.flush()
            os.fsync(handle.fileno())
        os.utime(part, ns=(file.modified, file.modified))
        target = self.local(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
        self.known[name] = Note(*file)


class _Megabytes:
    """Shows the bytes that several threads receive in whole megabytes."""

    def __init__(self, work: LongWork) -> None:
        self.work, self.bytes, self.lock = work, 0, Lock()

    def add(self, count: int) -> None:
        """Count further bytes."""
        with self.lock:
            before, self.bytes = self.bytes // _MB, self.bytes + count
            if more := self.bytes // _MB - before:
                self.work.add(more)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a local file; ``None`` if there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size, status.st_mtime_ns
