"""The folder of a run that starts or resumes: its checks, its lock and its first files."""

from __future__ import annotations

import errno
import hashlib
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from debias import config as configs
from debias.config import Config
from debias.errors import InputError, shortened, shown
from debias.files import made_whole, remove_unfinished, write_atomically
from debias.json_files import json_text, read_json
from debias.launched import is_helper_process
from debias.reports.record import PAGE
from debias.sweeps.files import Files

if TYPE_CHECKING:
    from debias.data.examples import Examples

#: File in a run's folder with the device, precision and versions of each process that trained it.
CIRCUMSTANCES = "circumstances.json"
#: File in a run's folder with the digest of its data.
DATA = "data.json"
#: File in a run's folder with the training images whose label or pixels ``data`` made worse.
NOISE = "noise.csv"
#: Value of an option that debias chooses itself.
AUTO = "auto"
#: Longest time until another machine sees a new file on a shared disk, in seconds.
LATEST = 60.0
#: Longest wait for the lock of a run, in seconds: the command of a sweep can hold it for a moment,
#: and loader processes of a killed run for 5 s.
LONGEST_WAIT = 8.0
TRAINED_NOW = "is being trained by another process: wait for it, or stop it first"


def claim(folder: Path, config: Config, examples: Examples, now: dict[str, Any]) -> None:
    """Create the run's folder, with the files of its data, config and circumstances.

    Args:
        folder: folder of the run.
        config: config of the run.
        examples: data of the run.
        now: this process's :func:`debias.runs.circumstances.circumstances`.

    Raises:
        ValueError: another process has created the folder meanwhile.
    """
    if is_helper_process():
        return
    if not (folder / "config.yaml").is_file():
        remove_unfinished(folder)
    try:
        with made_whole(folder) as beside:
            write_atomically(beside / DATA, json_text(_describe(examples, config)))
            configs.save(config, beside / "config.yaml")
            if examples.noise is not None:
                from debias.data.noise import noise_table  # loads torch

                write_atomically(beside / NOISE, noise_table(examples))
            write_atomically(beside / CIRCUMSTANCES, json_text([now]))
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        other = "another process, which trains this run: wait for it"
        raise InputError(f"{folder} was just created by {other}") from None


def check_folder(folder: Path, config: Config, *, resuming: bool) -> None:
    """Check that a run can start in its folder, or resume there.

    Raises:
        ValueError: the run is finished, or another process trains it; it is interrupted, and
            ``resuming`` is false; it was started with another config; or the folder is no run's.
    """
    if is_helper_process():
        return
    if (folder / "report.json").is_file():
        raise InputError(f"{folder} is finished: read {folder / PAGE}, or train another seed")
    if resuming:
        _check_same(folder, config)
    elif folder.exists():
        if _files(folder).locked():
            raise InputError(f"{folder} {TRAINED_NOW}")
        if (folder / "config.yaml").is_file():
            raise InputError(
                f"{folder} holds an interrupted run: add resume={folder}, or delete the folder"
            )
        if others := sorted(path.name for path in folder.iterdir() if path.suffix != ".tmp"):
            raise InputError(
                f"{folder} holds {others[0]} and no config.yaml, so it is not the folder of a run: "
                "move or delete it"
            )


def _check_same(folder: Path, config: Config) -> None:
    if not (folder / "config.yaml").is_file():
        remedy = "give the folder of an interrupted run"
        raise InputError(f"cannot resume {folder}: it holds no config.yaml; {remedy}")
    before, now = configs.plain(configs.read(folder / "config.yaml")), configs.plain(config)
    earlier = [part["precision"] for part in _circumstances(folder)]
    if before["precision"] == AUTO and now["precision"] in earlier:
        now["precision"] = AUTO  # auto resolved to this precision before
    if {before["select"], now["select"]} == {AUTO, "worst_group"}:
        now["select"] = before["select"]  # both select the same epoch wherever both are possible
    changed = [
        f"{key} was {shortened(str(before[key]), 100)}, is {shortened(str(now[key]), 100)}"
        for key in now
        if key not in configs.EXECUTION and now[key] != before[key]
    ]
    if changed:
        raise InputError(f"cannot resume {folder} with another config: {shown(changed)}")


def resume_in(
    folder: Path, config: Config, examples: Examples, now: dict[str, Any]
) -> dict[str, Any]:
    """Check an interrupted run's data and precision, and record new circumstances in its folder.

    Args:
        folder: folder of the run.
        config: config of the run.
        examples: data of the run.
        now: this process's :func:`debias.runs.circumstances.circumstances`.

    Returns:
        Entries of the report: all circumstances in order, if there are several; else nothing.

    Raises:
        ValueError: the run was started with other rows, labels or inferred groups, or with another
            precision.

    Warns:
        UserWarning: the file of a user's own part has changed.
    """
    if is_helper_process():
        return {}
    remove_unfinished(folder)
    _check_same_data(folder / DATA, _describe(examples, config))
    every = _circumstances(folder)
    # the file was deleted, so that the circumstances of the first start are unknown
    if not every and any(folder.rglob("*.ckpt")):
        return {}
    if every and (earlier := every[-1]["precision"]) != now["precision"]:
        raise InputError(
            f"cannot resume {folder}: it was started with precision={earlier}, and precision=auto "
            f"resolves to {now['precision']} here; add precision={earlier} beside resume={folder}"
        )
    if every and (changed := _changed_parts(every[-1], now)):
        warnings.warn(
            f"{shown(changed)} changed since {folder} was last trained: its earlier epochs are of "
            "the earlier code; delete the folder to train all of it again",
            stacklevel=2,
        )
    if not every or every[-1] != now:
        every.append(now)
        write_atomically(folder / CIRCUMSTANCES, json_text(every))
    return {"circumstances": every} if len(every) > 1 else {}


def _changed_parts(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The user's own parts whose package or file is another one than before."""
    own = before.get("own_parts", [])
    return [str(part["name"]) for part in now.get("own_parts", []) if part not in own]


def _circumstances(folder: Path) -> list[dict[str, Any]]:
    """The circumstances of every process of a run so far; empty if the file was deleted."""
    path = folder / CIRCUMSTANCES
    if not path.is_file():
        return []
    remedy = "delete it; the report will then lack the circumstances of the first start"
    return read_json(path, list, entries={"precision": str}, remedy=remedy)


def _check_same_data(path: Path, data: dict[str, Any]) -> None:
    if not path.is_file():  # it was deleted, as the message below advises
        write_atomically(path, json_text(data))
    remedy = "delete it to resume with the present data"
    before = read_json(path, dict, entries={"images": int}, remedy=remedy)
    if any(data.get(key) != value for key, value in before.items()):
        raise InputError(
            f"cannot resume {path.parent} with other data: it was started with {before['images']} "
            f"images, and there are {data['images']} now, or labels, splits or groups.file differ: "
            "restore the data, or train again in another folder"
        )


def _describe(examples: Examples, config: Config) -> dict[str, Any]:
    """Digests of rows and of inferred groups, to check that a run resumes with the same data."""
    entries = {"digest": examples.digest(), "images": len(examples)}
    if config.groups.file:
        entries["groups"] = hashlib.sha256(Path(config.groups.file).read_bytes()).hexdigest()[:32]
    return entries


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run's folder against other processes, with the lock of the workers of a sweep.

    Raises:
        ValueError: another process holds the lock.
    """
    if is_helper_process():
        yield
        return
    lock = _files(folder).lock()
    try:
        lock.acquire(timeout=LONGEST_WAIT)
    except Timeout:
        raise InputError(f"{folder} {TRAINED_NOW}") from None
    try:
        yield
    finally:
        lock.release()


def check_common_folder(folder: Path) -> None:
    """Check that every process of a run on several machines sees the run's folder.

    Every process must call it, after :func:`claim`.

    Raises:
        ValueError: a process does not see the config that the first one has written.
    """
    from debias import processes  # loads torch

    until = time.monotonic() + LATEST
    while not (seen := (folder / "config.yaml").is_file()) and time.monotonic() < until:
        time.sleep(0.5)
    if blind := sorted({*processes.joined_lists([] if seen else [socket.gethostname()])}):
        remedy = "set out to a folder on a disk that all nodes share"
        raise InputError(f"{shown(blind)} cannot see {folder}: {remedy}")


def as_begun(config: Config, folder: Path) -> Config:
    """The config of a resumed run for its report, with the ``precision`` of the first start."""
    return replace(config, precision=configs.read(folder / "config.yaml").precision)


def _files(folder: Path) -> Files:
    folder = folder.absolute()  # the parent of "." is "."
    return Files(folder.parent, folder.name)
