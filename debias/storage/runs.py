"""Runs whose folder lies on object storage: trained in a local copy, which is sent every epoch."""

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from debias.files import write_atomically
from debias.storage.copies import Copy, Note
from debias.storage.leases import HeldError, Lease, owner_of
from debias.storage.urls import (
    StorageError,
    copies_folder,
    joined,
    local_copy,
    opened,
    told_errors,
)

#: The file that marks a run as finished. It is sent after all others.
REPORT = "report.json"
#: A second checkpoint, in case a local disk damages the last one. It is not sent.
SPARE = "previous.ckpt"
#: Seconds to wait for a process of this machine: loaders of a killed run hold its lock for 5 s.
WAIT = 8.0


class StoredRun:
    """One run on the storage, and its local copy. The owner of its lease alone changes both.

    Args:
        out: URL of the folder of the runs.
        name: name of the run's folder.
        cache_dir: the cache folder; ``None`` means that of ``DEBIAS_CACHE``.
    """

    def __init__(self, out: str, name: str, cache_dir: str | None) -> None:
        self.url = joined(out, name)
        self.copies = copies_folder("out", out, cache_dir)
        self.folder = local_copy("out", self.url, cache_dir)
        self.out = opened("out", out)
        self.place = self.out._replace(path=self.out.below(name), url=self.url)
        self.lease = Lease(self.out._replace(url=self.url), name, owner_of(self.copies))
        self.lock = self._copy().lock
        #: This file exists from the start of a training until all its files are on the storage.
        self.unsent = self.lock.with_suffix(".unsent")
        #: The number of the lease for which the local copy was brought.
        self.brought = self.lock.with_suffix(".brought")

    def bring(self) -> None:
        """Make the local copy equal to the storage. It is replaced whole, or not at all."""
        arriving = self.folder.with_name(f".{self.folder.name}.arriving")
        copy = Copy(self.place, arriving, self.copies)
        count = copy.pull()
        for name in _states(arriving).keys() - copy.known.keys():
            (arriving / name).unlink()  # left by an earlier process
        shutil.rmtree(self.folder, ignore_errors=True)
        if count:
            os.replace(arriving, self.folder)
        own = self._copy()
        own.known = copy.known
        own.remember()
        copy.note.unlink(missing_ok=True)
        write_atomically(self.brought, str(self.lease.number), durable=False)

    def is_newest(self) -> bool:
        """Whether the local copy was brought for the present lease. A killed process may not."""
        with suppress(FileNotFoundError):
            number = self.brought.read_text(encoding="utf-8")
            return number == str(self.lease.number) and self.folder.is_dir()
        return False

    def send(self) -> None:
        """Send the files that have changed, in the order in which they were written.

        A folder that is half sent is therefore like that of a run that was killed. The report is
        sent last. Then files that are no longer in the run's folder are removed.

        Raises:
            InputError: the storage cannot be written, or another owner has taken over.
        """
        copy = self._copy()
        with told_errors("out", self.url):
            self.lease.check()
            states = _states(self.folder)
            changed = [name for name in states if not _is_sent(copy, name, states[name])]
            changed.sort(key=lambda name: (name == REPORT, states[name].modified))
            for name in changed:
                self.place.files.put_file(str(self.folder / name), self.place.below(name))
                copy.known[name] = states[name]
                copy.remember()
            for name in copy.known.keys() - states.keys():
                with suppress(FileNotFoundError):
                    self.place.files.rm_file(self.place.below(name))
                del copy.known[name]
                copy.remember()

    def send_epoch(self) -> None:
        """Send the files of an epoch. If the storage fails, the next epoch tries again.

        Raises:
            HeldError: another owner has taken over.
        """
        try:
            self.send()
        except StorageError as error:
            warnings.warn(f"this epoch is only in {self.folder} so far: {error}", stacklevel=2)

    def send_beside(self, files: Sequence[Path]) -> None:
        """Send files of the folder of the runs, such as a log; remove those that are not there."""
        for file in files:
            path = self.out.below(file.relative_to(self.folder.parent).as_posix())
            with suppress(FileNotFoundError):
                if file.is_file():
                    self.out.files.put_file(str(file), path)
                elif self.out.files.exists(path):
                    self.out.files.rm_file(path)

    def _copy(self) -> Copy:
        return Copy(self.place, self.folder, self.copies)


@contextmanager
def held(run: StoredRun, beside: Sequence[Path] = ()) -> Iterator[None]:
    """Hold the lease of a run. Its local copy is the newest inside, and is sent at the end.

    Args:
        run: the run.
        beside: further files to send, also after an error.

    Raises:
        HeldError: another process trains the run, on this machine or another one.
        InputError: the storage cannot be read or written.
    """
    run.lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(run.lock).acquire(timeout=WAIT)
    except Timeout:
        raise HeldError(f"{run.url} is being trained by another process: wait for it") from None
    with lock:
        with told_errors("out", run.url):
            if not (run.lease.acquire() and run.is_newest()):
                run.bring()
        with run.lease.renewed():
            run.unsent.touch()
            try:
                yield
                run.send()
                run.unsent.unlink()
            finally:
                with suppress(Exception):  # a log is no reason to fail
                    run.send_beside(beside)


def _is_sent(copy: Copy, name: str, state: Note) -> bool:
    return name in copy.known and copy.known[name][:2] == state[:2]


def _states(folder: Path) -> dict[str, Note]:
    """State of each file of a run, by its path in the run's folder; no drafts."""
    states = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".tmp" and path.name != SPARE:
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            states[name] = Note(status.st_size, status.st_mtime_ns, "")
    return states
