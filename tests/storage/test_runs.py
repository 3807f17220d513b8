"""A run on object storage survives kills, goes on elsewhere, and never looks finished too early."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from debias.errors import InputError
from debias.storage import leases, runs
from debias.storage.leases import HeldError
from debias.storage.runs import StoredRun, held
from debias.storage.urls import StorageError

OUT = "memory://bucket/sweep"
EPOCHS = 2


class Killed(BaseException):
    """A process ends at once: nothing of it runs any more."""


def stored(machine: Path) -> StoredRun:
    return StoredRun(OUT, "run", str(machine))


def train(folder: Path, after_epoch) -> None:
    """Write the files of a run as training does: each is written whole, the report last.

    ``last.ckpt`` names the epoch and the weights that it needs: those of the best epoch so far,
    which is every second one. Older weights are removed when the next epoch starts.
    """
    last = folder / "last.ckpt"
    done = json.loads(last.read_text())["epoch"] + 1 if last.is_file() else 0
    if not folder.is_dir():
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("config")
    for epoch in range(done, EPOCHS):
        for weights in folder.glob("epoch=*"):
            if last.is_file() and weights.name != json.loads(last.read_text())["best"]:
                weights.unlink()
        best = f"epoch={epoch - epoch % 2}.ckpt"
        (folder / f"val-{epoch}.csv").write_text(f"predictions {epoch}")
        if epoch % 2 == 0:
            (folder / best).write_text(f"weights {epoch}")
        if last.is_file():
            last.replace(folder / "previous.ckpt")
        last.write_text(json.dumps({"epoch": epoch, "best": best}))
        after_epoch()
    (folder / "previous.ckpt").unlink(missing_ok=True)
    (folder / "test.csv").write_text("predictions")
    (folder / "report.json").write_text("{}")


def attempt(machine: Path) -> None:
    """One process that trains the run, unless it is finished."""
    run = stored(machine)
    with held(run):
        if not (run.folder / "report.json").is_file():
            train(run.folder, run.send)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def objects(files) -> dict[str, str]:
    paths = files.find("/bucket/sweep/run")
    return {path.rpartition("/")[2]: files.cat_file(path).decode() for path in paths}


@pytest.fixture
def undisturbed(tmp_path) -> dict[str, str]:
    train(tmp_path / "alone", lambda: None)
    return contents(tmp_path / "alone")


@pytest.fixture
def kill(memory, monkeypatch):
    """``kill(k)`` lets the process end before its k-th change of the storage from now on.

    It then changes nothing any more, until ``kill(None)``.
    """
    left = [None]

    def limited(change):
        def limit(*arguments, **options):
            if left[0] is not None:
                left[0] -= 1
                if left[0] <= 0:
                    raise Killed
            return change(*arguments, **options)

        return staticmethod(limit)

    for name in ("put_file", "rm_file", "pipe_file"):
        monkeypatch.setattr(type(memory), name, limited(getattr(memory, name)))

    def kill(count):
        left[0] = count

    return kill


def expire(files):
    """Let the leases of killed processes end."""
    for path in files.find("/bucket/sweep/leases"):
        text = leases.lease_text(files.cat_file(path))
        files.store[path] = type(files.store[path])(files, path, text._replace(ended=True).bytes())


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch):
    """The tests do not wait until the disk has what they write."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def check_storage(found: dict[str, str]) -> None:
    """What every half-sent folder must hold: what its checkpoint needs, and a report only whole."""
    if "last.ckpt" in found:
        assert json.loads(found["last.ckpt"])["best"] in found
        for epoch in range(json.loads(found["last.ckpt"])["epoch"] + 1):
            assert f"val-{epoch}.csv" in found
    if "report.json" in found:
        assert {"test.csv", "config.yaml", "last.ckpt"} <= found.keys()


def test_undisturbed_run(memory, tmp_path, undisturbed):
    attempt(tmp_path / "one")
    run = stored(tmp_path / "one")
    assert contents(run.folder) == objects(memory) == undisturbed
    assert not run.unsent.exists()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same machine", "other machine"])
def test_kill_at_every_change_of_the_storage(memory, kill, tmp_path, undisturbed, elsewhere):
    for count in range(1, 40):
        memory.store.clear()
        shutil.rmtree(tmp_path / "one", ignore_errors=True)
        shutil.rmtree(tmp_path / "two", ignore_errors=True)
        kill(count)
        with suppress(Killed):
            attempt(tmp_path / "one")
            break
        kill(None)
        check_storage(objects(memory))
        expire(memory)
        attempt(tmp_path / ("two" if elsewhere else "one"))
        assert objects(memory) == undisturbed
        attempt(tmp_path / "one")  # the first machine has all that the other one did
        assert contents(stored(tmp_path / "one").folder) == undisturbed
    assert 8 < count < 39


@pytest.mark.parametrize("count", range(1, 6))
def test_run_that_another_machine_continued_replaces_the_local_copy(memory, kill, tmp_path, count):
    """Also if a process was killed after it took the lease back, before it brought the run."""
    kill(9)
    with pytest.raises(Killed):
        attempt(tmp_path / "one")
    kill(None)
    (stored(tmp_path / "one").folder / "val-9.csv").write_text("of a machine that was lost")
    expire(memory)
    attempt(tmp_path / "two")
    kill(count)
    with suppress(Killed):
        attempt(tmp_path / "one")
    kill(None)
    attempt(tmp_path / "one")
    found = contents(stored(tmp_path / "one").folder)
    assert found == objects(memory)
    assert "val-9.csv" not in found


def test_machine_that_lost_its_lease_sends_nothing(memory, tmp_path):
    run = stored(tmp_path / "one")

    def lose():
        with held(run):
            run.folder.mkdir(parents=True)
            (run.folder / "late.csv").write_text("late")
            expire(memory)
            stored(tmp_path / "two").lease.acquire()

    with pytest.raises(HeldError, match="another machine has taken over"):
        lose()
    assert not objects(memory)


def test_two_processes_of_one_machine(memory, tmp_path, monkeypatch):
    """The second has another lock object, as another process has."""
    monkeypatch.setattr(runs, "WAIT", 0.0)
    with held(stored(tmp_path / "one")), pytest.raises(HeldError, match="by another process"):
        held(stored(tmp_path / "one")).__enter__()


def test_storage_that_fails_for_an_epoch_costs_nothing(memory, tmp_path, monkeypatch, undisturbed):
    run, fails = stored(tmp_path / "one"), [True, False, False]  # each epoch, and the end
    put = memory.put_file

    def put_file(*arguments):
        if fails[0]:
            raise OSError("no route to host")
        put(*arguments)

    monkeypatch.setattr(type(memory), "put_file", staticmethod(put_file))

    def after_epoch():
        run.send_epoch()
        fails.pop(0)

    def training():
        with held(run):
            train(run.folder, after_epoch)

    with pytest.warns(UserWarning, match="only in .* so far: .*no route"):
        training()
    assert objects(memory) == undisturbed


def test_final_files_that_cannot_be_sent_are_sent_later(memory, tmp_path, monkeypatch, undisturbed):
    monkeypatch.setattr(type(memory), "put_file", _broken)
    run = stored(tmp_path / "one")
    with pytest.raises(StorageError, match="check the address and the network"), held(run):
        train(run.folder, lambda: None)
    assert run.unsent.is_file()
    monkeypatch.undo()
    attempt(tmp_path / "one")
    assert objects(memory) == undisturbed
    assert not run.unsent.exists()


def _broken(*arguments):
    raise OSError("no route to host")


def test_logs_are_sent_and_removed(memory, tmp_path):
    run = stored(tmp_path / "one")
    log, error = run.folder.parent / "logs/run.log", run.folder.parent / "errors/run.txt"
    for file in (log, error):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("words")
    with pytest.raises(ZeroDivisionError), held(run, (log, error)):
        raise ZeroDivisionError
    assert memory.cat_file("/bucket/sweep/errors/run.txt") == b"words"
    error.unlink()
    with held(run, (log, error)):
        pass
    assert memory.exists("/bucket/sweep/logs/run.log")
    assert not memory.exists("/bucket/sweep/errors/run.txt")


def test_no_cache_folder(monkeypatch):
    monkeypatch.delenv("DEBIAS_CACHE", raising=False)
    with pytest.raises(InputError, match="out=memory://bucket/sweep needs a cache folder"):
        StoredRun(OUT, "run", None)
