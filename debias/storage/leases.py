"""Leases: which machine trains a run whose folder lies on object storage, which has no locks.

A lease is an object ``leases/RUN/NUMBER.json`` beside the runs. It names its owner: one folder of
local copies. The highest number counts. The owner writes its lease again every ``BEAT`` seconds. A
lease that is older than ``EXPIRY`` seconds by the clock of the storage has ended. Another owner
takes over by creating the next number, which only one can do where the storage has writes that
refuse an existing object (S3, MinIO, Google, Azure).
"""

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from debias.errors import InputError
from debias.files import write_atomically
from debias.progress import duration
from debias.storage.copies import StoredFile, listing
from debias.storage.urls import Place

#: Folder of the leases, beside the runs.
LEASES = "leases"
#: Seconds between two signs of life, and after the last one until the lease ends.
BEAT, EXPIRY = 30.0, 180.0
_NUMBER = re.compile(r"(\d+)\.json")


class HeldError(InputError):
    """Another process, on this machine or on another one, trains the run."""


class LeaseText(NamedTuple):
    """The content of a lease.

    Attributes:
        owner: identifies a folder of local copies.
        machine: the name of its machine, for messages.
        ended: whether the owner has given it back.
    """

    owner: str
    machine: str
    ended: bool = False

    def bytes(self) -> bytes:
        """The content of the object."""
        return json.dumps(self._asdict()).encode()


class Lease:
    """The lease of one run.

    Args:
        out: the folder of the runs on the storage.
        name: name of the run's folder.
        owner: see :func:`owner_of`.
    """

    def __init__(self, out: Place, name: str, owner: str) -> None:
        self.place = out._replace(path=out.below(f"{LEASES}/{name}"))
        self.text = LeaseText(owner, socket.gethostname())
        self.number = 0

    def acquire(self) -> bool:
        """Take the lease.

        Returns:
            Whether this owner had it last, under the same number.

        Raises:
            HeldError: another owner has it.
        """
        self.number, found = self._last()
        if found is not None:
            text = self._read(self.number)
            if text.owner == self.text.owner:
                self._write(self.text)
                return True
            age = self._now() - found.modified / 1e9
            if not text.ended and age < EXPIRY:
                raise self._held(text, age)
        before, self.number = self.number, self.number + 1
        with suppress(FileExistsError):
            self._write(self.text, "create")
        if (text := self._read(self.number)).owner != self.text.owner:
            raise self._held(text, 0.0)
        if before:
            with suppress(FileNotFoundError):
                self.place.files.rm_file(self._path(before))
        return False

    def check(self) -> None:
        """Refuse to go on if another owner has taken over.

        Raises:
            HeldError: another owner has the lease, or somebody has removed it.
        """
        number, found = self._last()
        if found is None or (text := self._read(number)).owner != self.text.owner or text.ended:
            raise HeldError(
                f"another machine has taken over {self.place.url}, or its lease was removed, "
                "because this process gave no sign of life: it stops here. Run the same command "
                "again with resume=auto"
            )
        self.number = number  # never that of another owner, whose lease a beat would overwrite

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Write the lease again every ``BEAT`` seconds, from a thread, and give it back."""
        ended = threading.Event()

        def beat() -> None:
            """Give signs of life. A failed one is followed by the next."""
            while not ended.wait(BEAT):
                with suppress(Exception):
                    self._write(self.text)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with suppress(Exception):  # it ends by itself
                self.check()
                self._write(self.text._replace(ended=True))

    def _held(self, text: LeaseText, age: float) -> HeldError:
        return HeldError(
            f"{self.place.url} is being trained on {text.machine}, which gave a sign of life "
            f"{duration(max(0.0, age))} ago: wait for it. After {duration(EXPIRY)} without one, "
            "the run is free"
        )

    def _path(self, number: int) -> str:
        return self.place.below(f"{number:06d}.json")

    def _last(self) -> tuple[int, StoredFile | None]:
        return last_lease(listing(self.place))

    def _read(self, number: int) -> LeaseText:
        return lease_text(self.place.files.cat_file(self._path(number)))

    def _write(self, text: LeaseText, mode: str = "overwrite") -> None:
        self.place.files.pipe_file(self._path(self.number), text.bytes(), mode=mode)

    def _now(self) -> float:
        """The time by the clock of the storage."""
        clock = f"{self.text.owner}.clock"
        self.place.files.pipe_file(self.place.below(clock), b"now")
        now = listing(self.place, clock.__eq__)[clock].modified / 1e9
        self.place.files.rm_file(self.place.below(clock))
        return now


def last_lease(files: Mapping[str, StoredFile]) -> tuple[int, StoredFile | None]:
    """The highest number among the leases of a run, and its object; 0 if there is none."""
    numbers = {int(found[1]): file for name, file in files.items() if (found := _number(name))}
    return max(numbers.items(), key=lambda item: item[0], default=(0, None))


def is_held(folder: Path) -> bool:
    """Whether a machine trains the run whose leases have been copied into a folder.

    The age is by the clock of this machine.
    """
    found = {path.name: path.stat() for path in folder.glob("*.json")}
    files = {name: StoredFile(s.st_size, s.st_mtime_ns, "") for name, s in found.items()}
    number, file = last_lease(files)
    if file is None or time.time() - file.modified / 1e9 > EXPIRY:
        return False
    return not lease_text((folder / f"{number:06d}.json").read_bytes()).ended


def lease_text(content: bytes) -> LeaseText:
    """The content of a lease. A damaged one has ended."""
    with suppress(ValueError, TypeError):
        return LeaseText(**json.loads(content))
    return LeaseText("", "", ended=True)


def _number(name: str) -> re.Match[str] | None:
    return _NUMBER.fullmatch(name)


def owner_of(copies: Path) -> str:
    """The name of a folder of local copies as an owner, which is drawn once."""
    path = copies / "owner"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(copies / "owner.lock"):
        if not path.is_file():
            write_atomically(path, uuid.uuid4().hex)
        return path.read_text(encoding="utf-8")
