"""Finished stages of training and features, kept by their content, so that runs share them.

A stage is a folder, whose name is a digest of everything that determines the stage. Two runs that
would train the same stage therefore find the same folder. Files have a second name there (a hard
link), and cost no room while a run has them. Nothing here imports torch.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from filelock import BaseFileLock, FileLock, Timeout

from debias.errors import InputError
from debias.files import (
    is_whole_archive,
    link_whole,
    made_whole,
    remove_unfinished,
    write_atomically,
)
from debias.json_files import Json, MisfitError, json_text, read_json, typed

#: Folders of a store.
STAGES, FEATURES, LOCKS = "stages", "features", "locks"
#: In the folder of a kept stage: what it is, its files, and the runs that have used it.
RECORD, FILES, USERS = "kept.json", "files", "users"
#: The checkpoint from which a stage is read. It comes last into a folder, and completes the stage.
LAST = "checkpoints/last.ckpt"
#: The weights of the epochs that a selection rule prefers.
WEIGHTS = "checkpoints/epoch=*.ckpt"
#: Time between two calls of the function that is called while a process waits, in seconds.
PAUSE = 60.0
#: The files of a stage that are kept.
KEPT = ("predictions/val-epoch=*.csv", "tensorboard/*", "metrics.csv", WEIGHTS, LAST)


@dataclass(frozen=True)
class KeptStage:
    """What a kept stage is.

    Attributes:
        name: name of the run that trained it and, for an early stage, of the stage.
        place: folder in which it was trained.
        epochs: number of its epochs.
        seconds: how long its training took.
        content: what the name of its folder is a digest of.
    """

    name: str
    place: str
    epochs: int
    seconds: float
    content: Json


class KeptItem(NamedTuple):
    """A kept stage, or a kept file of features.

    Attributes:
        path: its folder or file.
        name: of a stage, the run that trained it; of features, their file.
        size: bytes.
        freed: bytes of the files that no run has.
        used: time of ``time.time`` when it was kept or last taken.
        runs: folders of the runs and stages that have it, and exist.
        is_stage: whether it is a stage.
    """

    path: Path
    name: str
    size: int
    freed: int
    used: float
    runs: tuple[Path, ...] = ()
    is_stage: bool = True


class Store:
    """The kept stages and features of one folder, on a disk that several machines may share.

    Args:
        folder: the folder. It is created when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def alone(self, key: str, wait: Callable[[], None]) -> Iterator[None]:
        """Let no other process train, take or remove a stage. The lock ends with its process.

        Args:
            key: the digest of the stage.
            wait: called if another process has the lock, and again each ``PAUSE`` seconds.
        """
        lock, pause = self._lock(key), 0.0
        while not lock.is_locked:
            try:
                lock.acquire(timeout=pause, poll_interval=0.2)
            except Timeout:
                wait()
                pause = PAUSE
        try:
            yield
        finally:
            lock.release()

    def find(self, key: str) -> KeptStage | None:
        """What the kept stage with this digest is; ``None`` if there is none."""
        return _record_of(self._entry(key))

    def take(self, key: str, target: Path) -> KeptStage | None:
        """Put the files of a kept stage into the folder of a run or stage, inside :meth:`alone`.

        If the process ends meanwhile, the folder has no last checkpoint, or that of before. A stage
        with a damaged or missing file is removed.

        Args:
            key: the digest of the stage.
            target: the folder.

        Returns:
            The record of the stage. ``None`` if the store has no such stage, or a damaged one.
        """
        entry = self._entry(key)
        record, files = _record_of(entry), kept_files(entry / FILES)
        if record is None or not _undamaged(entry / FILES, files):
            _discard(entry)
            return None
        for file in files:
            link_whole(entry / FILES / file, target / file)
        for own in {*target.glob(WEIGHTS)} - {target / file for file in files}:
            own.unlink()  # the target was half trained itself
        _add_user(entry, target)
        return record

    def keep(self, key: str, source: Path, record: KeptStage) -> None:
        """Keep the files of a finished stage, whole or not at all. A kept stage stays as it is.

        Args:
            key: the digest of the stage.
            source: folder of the run or stage that has trained it.
            record: what it is.
        """
        entry = self._entry(key)
        if _record_of(entry) is not None:
            return
        remove_unfinished(entry)
        with made_whole(entry, shared=True) as beside:
            for file in kept_files(source):
                link_whole(source / file, beside / FILES / file)
            _add_user(beside, source)
            write_atomically(beside / RECORD, json_text(asdict(record)))

    def items(self) -> list[KeptItem]:
        """All that is kept."""
        stages = [(path, _record_of(path)) for path in self.folder.glob(f"{STAGES}/[!.]*")]
        kept = [_stage_item(path, record) for path, record in stages if record is not None]
        features = [
            KeptItem(
                path, f"features {path.stem}", *_sizes([path]), path.stat().st_mtime, (), False
            )
            for path in self.folder.glob(f"{FEATURES}/[!.]*.pt")
        ]
        return kept + features

    def delete(self, item: KeptItem) -> bool:
        """Remove an item; ``False`` if a process trains or takes the stage now."""
        if item.is_stage:
            return self.remove(item.path.name)
        item.path.unlink(missing_ok=True)
        return True

    def tidy(self) -> None:
        """Remove the parts of stages that killed processes left."""
        for path in list(self.folder.glob(f"{STAGES}/.*.tmp")):
            key = path.name.split(".")[1]
            if self.find(key) is None:
                self.remove(key)

    def remove(self, key: str) -> bool:
        """Remove a kept stage; ``False`` if a process trains or takes it now."""
        lock = self._lock(key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        try:
            _discard(self._entry(key))
        finally:
            lock.release()
        return True

    def _entry(self, key: str) -> Path:
        return self.folder / STAGES / key

    def _lock(self, key: str) -> BaseFileLock:
        path = self.folder / LOCKS / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)


def kept_files(folder: Path) -> list[str]:
    """The files of a stage that a store keeps, relative to the stage's folder; ``LAST`` is last."""
    found = (path for pattern in KEPT for path in sorted(folder.glob(pattern)) if path.is_file())
    return [path.relative_to(folder).as_posix() for path in found]


def _stage_item(entry: Path, record: KeptStage) -> KeptItem:
    notes = list((entry / USERS).iterdir())
    users = sorted(_home(entry) / note.read_text(encoding="utf-8") for note in notes)
    used = max(note.stat().st_mtime for note in (*notes, entry / RECORD))
    files = [path for path in (entry / FILES).rglob("*") if path.is_file()]
    runs = tuple(user for user in users if user.is_dir())
    return KeptItem(entry, record.name, *_sizes(files), used, runs)


def _sizes(files: Sequence[Path]) -> tuple[int, int]:
    """Bytes of files, and of those that have no second name."""
    every = [path.stat() for path in files]
    return sum(one.st_size for one in every), sum(one.st_size for one in every if one.st_nlink == 1)


def _undamaged(folder: Path, files: Sequence[str]) -> bool:
    tensors = [folder / file for file in files if file.endswith(".ckpt")]
    return LAST in files and all(map(is_whole_archive, tensors))


def _record_of(entry: Path) -> KeptStage | None:
    try:
        return typed(KeptStage, read_json(entry / RECORD, dict, entries={}, remedy=""))
    except (InputError, MisfitError):
        return None


def _add_user(entry: Path, folder: Path) -> None:
    """Note the folder of a run or stage that uses a kept stage. A sweep may be moved later."""
    place, home = folder.resolve(), _home(entry)
    text = str(place.relative_to(home) if place.is_relative_to(home) else place)
    write_atomically(entry / USERS / hashlib.sha256(text.encode()).hexdigest()[:16], text)


def _home(entry: Path) -> Path:
    """The folder beside which a store lies: that of the sweep, if its runs share it."""
    return entry.resolve().parents[2]


def _discard(entry: Path) -> None:
    """Remove a kept stage. If the process ends meanwhile, no part of it has its name any more."""
    remove_unfinished(entry)
    if entry.is_dir():
        gone = entry.rename(entry.with_name(f".{entry.name}.gone.tmp"))
        shutil.rmtree(gone)
