"""Machines share whole stages over object storage, also when they are killed or write at once."""

import os
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from debias.errors import InputError
from debias.storage.stages import StoredStages
from debias.store import LAST, KeptStage

URL = "memory://bucket/shared"
KEY = "0123456789abcdef"
FILES = ["predictions/val-epoch=000.csv", "checkpoints/epoch=000.ckpt", LAST]


class Killed(BaseException):
    """A process ends at once."""


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch):
    """The tests do not wait until the disk has what they write."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def store(machine: Path) -> StoredStages:
    return StoredStages(URL, str(machine / "cache"))


def trained(machine: Path, words: str) -> Path:
    """The folder of a trained stage, whose files hold some words."""
    for name in FILES:
        path = machine / "trained" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data", words)
    return machine / "trained"


def keep(machine: Path, words: str) -> None:
    source = trained(machine, words)
    store(machine).keep(KEY, source, KeptStage(f"run of {words}", str(source), 3, 7.5, {}))


def taken(machine: Path) -> tuple[str, set[str]] | None:
    """The name of the stage that a machine takes, and the words of its files."""
    stages, target = store(machine), machine / "run"
    if stages.find(KEY) is None:
        return None
    record = stages.take(KEY, target)
    assert record is not None
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.*")} == {*FILES}
    return record.name, {zipfile.ZipFile(target / name).read("data").decode() for name in FILES}


def test_other_machine_takes_the_stage(memory, tmp_path):
    assert taken(tmp_path / "two") is None
    keep(tmp_path / "one", "a")
    assert taken(tmp_path / "two") == ("run of a", {"a"})
    items = store(tmp_path / "two").items()
    assert [item.runs for item in items] == [(tmp_path / "two/run",)]
    keep(tmp_path / "three", "c")  # the first one stays
    assert taken(tmp_path / "four") == ("run of a", {"a"})


@pytest.mark.parametrize("change", range(1, 7))
def test_kill_at_every_object(memory, tmp_path, monkeypatch, change):
    """Four files and the marker are written: before the marker there is nothing for others."""
    left, put, pipe = [change], memory.put_file, memory.pipe_file

    def limited(write):
        def limit(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            write(*arguments, **options)

        return staticmethod(limit)

    monkeypatch.setattr(type(memory), "put_file", limited(put))
    monkeypatch.setattr(type(memory), "pipe_file", limited(pipe))
    with suppress(Killed):
        keep(tmp_path / "one", "a")
    whole = change == 6
    assert taken(tmp_path / "two") == (("run of a", {"a"}) if whole else None)
    keep(tmp_path / "one", "a")  # the first machine goes on
    assert taken(tmp_path / "three") == ("run of a", {"a"})


@pytest.mark.parametrize("refuses", [True, False], ids=["exclusive writes", "plain writes"])
@pytest.mark.parametrize("moment", range(5))
def test_two_writers_at_once(memory, tmp_path, monkeypatch, refuses, moment):
    """The second writes all of its stage before a write of the first."""
    put, pipe, count = memory.put_file, memory.pipe_file, [0]

    def between(write):
        def written(*arguments, **options):
            count[0] += 1
            if count[0] == moment + 1:
                count[0] = 99
                keep(tmp_path / "two", "b")
            write(*arguments, **(options if refuses else {}))

        return staticmethod(written)

    monkeypatch.setattr(type(memory), "put_file", between(put))
    monkeypatch.setattr(type(memory), "pipe_file", between(pipe))
    keep(tmp_path / "one", "a")
    winner = "b" if refuses else "a"
    assert taken(tmp_path / "three") == (f"run of {winner}", {winner})


def test_interrupted_bringing_continues(memory, tmp_path, monkeypatch):
    keep(tmp_path / "one", "a")
    read = memory.cat_file
    monkeypatch.setattr(
        type(memory),
        "cat_file",
        staticmethod(lambda path, **k: read(path, **k) if "json" in path else _broken()),
    )
    with pytest.raises(InputError, match="no route: check the address"):
        taken(tmp_path / "two")
    monkeypatch.undo()
    assert taken(tmp_path / "two") == ("run of a", {"a"})


def _broken():
    raise OSError("no route")


def test_real_server(s3, tmp_path):
    def stages(name):
        return StoredStages("s3://bucket/shared", str(tmp_path / name))

    source = trained(tmp_path / "one", "a")
    for name in ("one", "two"):
        stages(name).keep(KEY, source, KeptStage(name, str(source), 3, 7.5, {}))
    assert stages("three").find(KEY).name == "one"
    assert len(s3.find("bucket/shared/stages")) == 5
