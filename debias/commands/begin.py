"""The folder of a run that begins, or goes on."""

from __future__ import annotations

import errno
import os
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
from debias.reports.record import PAGE
from debias.sweeps.files import Files

if TYPE_CHECKING:
    from debias.data.examples import Examples

#: The file of a run's folder that says where and with what numbers each of its processes computed.
CIRCUMSTANCES = "circumstances.json"
#: The file that holds the digest of its data.
DATA = "data.json"
#: A value that debias chooses.
AUTO = "auto"
TRAINED_NOW = "is being trained by another process: wait for it, or stop it first"


def claim(folder: Path, config: Config, examples: Examples, now: dict[str, Any]) -> None:
    """Make the run's folder with data, config and circumstances in it; no other process may have
    made it since.

    Args:
        folder: of the run.
        config: of the run.
        examples: its data.
        now: this process's :func:`debias.runs.description.circumstances`.

    Raises:
        ValueError: another process has made it.
    """
    if is_helper_process():
        return
    if not (folder / "config.yaml").is_file():
        remove_unfinished(folder)
    try:
        with made_whole(folder) as beside:
            write_atomically(beside / DATA, json_text(_describe(examples)))
            configs.save(config, beside / "config.yaml")
            write_atomically(beside / CIRCUMSTANCES, json_text([now]))
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        other = "another process: that one trains this run"
        raise InputError(f"{folder} was just made by {other}") from None


def check_folder(folder: Path, config: Config, *, resuming: bool) -> None:
    """Refuse a folder of another run, of a finished one, or of one that is not to be resumed.

    Raises:
        ValueError: as above; the message says what to do.
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
                f"{folder} holds {others[0]}, but no config.yaml: it is no run; move or delete it"
            )


def _check_same(folder: Path, config: Config) -> None:
    if not (folder / "config.yaml").is_file():
        remedy = "give the folder of an interrupted run"
        raise InputError(f"cannot resume {folder}: it holds no config.yaml; {remedy}")
    before, now = configs.plain(configs.read(folder / "config.yaml")), configs.plain(config)
    begun = [part["precision"] for part in _circumstances(folder)]
    if before["precision"] == AUTO and now["precision"] in begun:
        now["precision"] = AUTO  # which came to this where the run was begun
    if {before["select"], now["select"]} == {AUTO, "worst_group"}:
        now["select"] = before["select"]  # the same wherever both are possible
    changed = [
        f"{key} was {shortened(str(before[key]), 100)}, is {shortened(str(now[key]), 100)}"
        for key in now
        if key not in configs.EXECUTION and now[key] != before[key]
    ]
    if changed:
        raise InputError(f"cannot resume {folder} with another config: {shown(changed)}")


def resume_in(folder: Path, examples: Examples, now: dict[str, Any]) -> dict[str, Any]:
    """Prepare an interrupted run's folder: check its data, and note new circumstances.

    Args:
        folder: of the run.
        examples: its data.
        now: this process's :func:`debias.runs.description.circumstances`.

    Returns:
        What the report says of it: all of them, in order, where there were several.

    Raises:
        ValueError: the run was begun with other rows or labels, or at another precision.
    """
    if is_helper_process():
        return {}
    remove_unfinished(folder)
    _check_same_data(folder / DATA, _describe(examples))
    every = _circumstances(folder)
    # the file was deleted: where the run was begun is not known
    if not every and any(folder.rglob("*.ckpt")):
        return {}
    if every and (begun := every[-1]["precision"]) != now["precision"]:
        raise InputError(
            f"cannot resume {folder} at precision {now['precision']}, to which precision=auto "
            f"comes here: it was begun at {begun}; add precision={begun} beside resume={folder}"
        )
    if not every or every[-1] != now:
        every.append(now)
        write_atomically(folder / CIRCUMSTANCES, json_text(every))
    return {"circumstances": every} if len(every) > 1 else {}


def _circumstances(folder: Path) -> list[dict[str, Any]]:
    """Of every process of a run so far; none if the file was deleted."""
    path = folder / CIRCUMSTANCES
    if not path.is_file():
        return []
    remedy = "delete it, and the report will not say where the run was begun"
    return read_json(path, list, entries={"precision": str}, remedy=remedy)


def _check_same_data(path: Path, data: dict[str, Any]) -> None:
    if not path.is_file():  # it was deleted, as the message below advises
        write_atomically(path, json_text(data))
    remedy = "delete it, and the run goes on with the data as they are"
    before = read_json(path, dict, entries={"images": int}, remedy=remedy)
    if before != data:
        raise InputError(
            f"cannot resume {path.parent} with other data: it was begun with {before['images']} "
            f"images, and now are {data['images']}, or other labels or splits: restore the data, "
            "or train again in another folder"
        )


def _describe(examples: Examples) -> dict[str, Any]:
    """What tells whether a run is resumed with the same data."""
    return {"digest": examples.digest(), "images": len(examples)}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder against other processes, by the lock that the workers of a sweep take.

    Raises:
        ValueError: another process holds it.
    """
    if is_helper_process():
        yield
        return
    lock = _files(folder).lock()
    try:
        # a sweep's command holds it for a moment, and loader processes of a killed run for 5 s
        lock.acquire(timeout=8)
    except Timeout:
        raise InputError(f"{folder} {TRAINED_NOW}") from None
    try:
        yield
    finally:
        lock.release()


def as_begun(config: Config, folder: Path) -> Config:
    """The config that a resumed run is known by: it has the precision of the first start."""
    return replace(config, precision=configs.read(folder / "config.yaml").precision)


def _files(folder: Path) -> Files:
    return Files(folder.parent, folder.name)


def is_helper_process() -> bool:
    """Whether Lightning started this process, as it does once for each further device."""
    return os.environ.get("LOCAL_RANK", "0") != "0"
