"""The store of finished stages: what it gives is whole, whenever a process is killed."""

import os
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from debias.store import LAST, KeptStage, Store, kept_files
from tests.commands.kill_at_moments import kill_in

KEY = "0123456789abcdef"
FILES = [
    "predictions/val-epoch=000.csv",
    "tensorboard/events",
    "checkpoints/epoch=000.ckpt",
    LAST,
]


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """The folder of a trained stage, with a file that no other run needs."""
    folder = tmp_path / "trained"
    for name in [*FILES, "checkpoints/previous.ckpt", "predictions/train.csv"]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data", name * 9)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "shared")


def record(stage: Path) -> KeptStage:
    return KeptStage("run/backbone", str(stage), 3, 7.5, {"seed": 0})


def in_child(function: Callable[[], object]) -> int:
    """The exit code of a forked process that calls a function; less than zero for a signal."""
    if (process := os.fork()) == 0:
        try:
            function()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(function: Callable[[], object], folder: Path, moment: int) -> bool:
    """Kill a call before its change number ``moment`` in a folder; whether it came so far."""

    def child() -> None:
        sys.addaudithook(kill_in(folder, [], moment))
        function()

    return in_child(child) == -signal.SIGKILL


def same(one: Path, other: Path) -> bool:
    return [(one / file).read_bytes() for file in FILES] == [
        (other / file).read_bytes() for file in FILES
    ]


def test_a_kept_stage_is_found_and_taken(store: Store, stage: Path, tmp_path: Path) -> None:
    """Its files have a second name, so that they cost no room; those of its run alone are left."""
    target = tmp_path / "other"
    assert store.take(KEY, target) is None
    store.keep(KEY, stage, record(stage))
    assert kept_files(stage) == FILES
    assert store.find(KEY) == store.take(KEY, target) == record(stage)
    assert sorted(kept_files(target)) == sorted(
        path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()
    )
    assert all((target / file).samefile(stage / file) for file in FILES)
    assert store.take("f" * 16, target) is None


def test_without_links_files_are_copied(
    store: Store, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    store.keep(KEY, stage, record(stage))
    assert store.take(KEY, tmp_path / "other") == record(stage)
    assert same(stage, tmp_path / "other")
    assert not (tmp_path / "other" / LAST).samefile(stage / LAST)


def test_a_stage_of_a_killed_writer_is_whole_or_absent(store: Store, stage: Path) -> None:
    moment = 0
    while killed(lambda: store.keep(KEY, stage, record(stage)), store.folder, moment):
        found = store.find(KEY)
        assert found is None or same(store.folder / "stages" / KEY / "files", stage)
        store.keep(KEY, stage, record(stage))
        assert store.find(KEY) == record(stage)
        assert [path.name for path in (store.folder / "stages").iterdir()] == [KEY]
        assert store.remove(KEY)
        moment += 5  # of about six changes per file
    assert moment > 20


def test_a_taker_that_is_killed_has_no_last_checkpoint_or_all(store: Store, stage: Path) -> None:
    """Also not a new one beside old weights, if its own training was at an earlier epoch."""
    store.keep(KEY, stage, record(stage))
    moment, target = 0, store.folder.parent / "other"
    while killed(lambda: store.take(KEY, target), target, moment):
        if (target / LAST).is_file():
            assert same(target, stage)
            (target / LAST).unlink()
        moment += 3
    assert moment > 10
    own = target / "checkpoints" / "epoch=002.ckpt"
    own.write_text("of an earlier epoch")
    assert store.take(KEY, target) is not None
    assert same(target, stage)
    assert not own.exists()


def test_a_removal_that_is_killed_leaves_no_part(store: Store, stage: Path) -> None:
    moment = 0
    store.keep(KEY, stage, record(stage))
    while killed(lambda: store.remove(KEY), store.folder / "stages", moment):
        assert store.find(KEY) is None or same(store.folder / "stages" / KEY / "files", stage)
        store.keep(KEY, stage, record(stage))
        moment += 1
    assert moment > 1
    assert not list((store.folder / "stages").iterdir())


@pytest.mark.parametrize("damaged", [LAST, "checkpoints/epoch=000.ckpt"])
def test_a_damaged_stage_is_not_taken(store: Store, stage: Path, damaged: str) -> None:
    store.keep(KEY, stage, record(stage))
    kept = store.folder / "stages" / KEY / "files" / damaged
    content = kept.read_bytes()
    kept.unlink()
    kept.write_bytes(content.replace(b"check", b"xheck", 1))
    assert store.take(KEY, stage.parent / "other") is None
    assert not (stage.parent / "other").exists()
    store.keep(KEY, stage, record(stage))
    assert store.take(KEY, stage.parent / "other") == record(stage)


def test_who_comes_second_waits_and_a_dead_owner_holds_nothing(store: Store, stage: Path) -> None:
    started, go = os.pipe(), os.pipe()

    def child() -> None:
        signal.alarm(60)  # without the other process, it would wait for ever
        with store.alone(KEY, lambda: None):
            os.write(started[1], b"1")
            os.read(go[0], 1)
            store.keep(KEY, stage, record(stage))
            os.kill(os.getpid(), signal.SIGKILL)

    if (process := os.fork()) == 0:
        child()
    os.read(started[0], 1)
    assert not store.remove(KEY)
    waited = []
    with store.alone(KEY, lambda: waited.append(os.write(go[1], b"1"))):
        assert waited == [1]
        assert store.find(KEY) == record(stage)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
