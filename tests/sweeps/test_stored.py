"""Two machines train one sweep on object storage, and each sees what the other has finished."""

import time

import pytest
from filelock import FileLock

from debias.commands.sweep import run, show_report, show_status
from debias.errors import InputError
from debias.places import run_held, runs_folder
from debias.storage import runs
from debias.storage.leases import HeldError, Lease
from debias.storage.results import results_folder
from debias.storage.runs import StoredRun
from debias.storage.urls import StorageError, opened
from debias.sweeps.files import files_of, left, write_plan
from debias.sweeps.launchers import pool, worker
from debias.sweeps.launchers.pool import End, Pool
from debias.sweeps.launchers.worker import BUSY
from debias.sweeps.plan import plan
from debias.sweeps.progress import Progress
from debias.sweeps.protocol import Protocol, write_protocol
from debias.sweeps.stored import bring_results, send_finished, send_plan
from tests.sweeps.trainings import quick

OUT = "memory://bucket/sweep"


@pytest.fixture
def planned(sweep, tmp_path, memory):
    """Plans the sweep of two runs for a machine, which has a cache folder of its own."""
    path = sweep("configs: [drawn_birds]\nseeds: [0, 1]\n")

    def planned(machine: str):
        return plan(path, [f"out={OUT}", f"cache_dir={tmp_path / machine}"])

    return planned


class Inline:
    """An engine that trains in this process."""

    def __init__(self) -> None:
        self.ends: list[End] = []
        self.started: list[str] = []

    @property
    def active(self) -> int:
        return len(self.ends)

    def room(self) -> bool:
        return not self.ends

    def start(self, run) -> None:
        self.started.append(run.name)
        code = 0
        runs_folder(run.config).mkdir(parents=True, exist_ok=True)
        try:
            with run_held(run.config, beside=[files_of(run).log]):
                if not files_of(run).report.is_file():
                    quick(run.config)
        except HeldError:
            code = BUSY
        self.ends.append(End(run, code))

    def ended(self, seconds: float) -> list[End]:
        ends, self.ends = self.ends, []
        return ends

    def stop(self, signals) -> None:
        pass


def work(planned) -> list[str]:
    engine = Inline()
    bring_results(planned)
    Pool(engine, left(planned.runs), Progress(planned.runs), retries=0).work()
    return engine.started


def test_paths_and_names(planned, sweep, tmp_path):
    one, two, local = planned("one"), planned("two"), plan(tmp_path / "sweep.yaml")
    assert one.out == tmp_path / "one/storage/memory/bucket/sweep"
    assert [run.folder.parent for run in one.runs] == [one.out] * 2
    names = [[run.name for run in each.runs] for each in (one, two, local)]
    assert names[0] == names[1] == names[2]
    assert {run.config.out for run in one.runs} == {OUT}
    assert {run.config.share for run in one.runs} == {f"{OUT}/shared"}


def test_second_machine_trains_only_what_is_left(planned):
    one, two = planned("one"), planned("two")
    first = one._replace(runs=one.runs[:1])
    assert work(first) == [one.runs[0].name]
    assert work(two) == [two.runs[1].name]
    assert not left(two.runs)
    bring_results(one)
    assert not left(one.runs)


def test_the_table_of_finished_runs_needs_no_data(memory, sweep, tmp_path, capsys):
    path = sweep("configs: [drawn_birds]\nset: {data.name: folder, data.root: gone}\n")
    one, two = ([f"out={OUT}", f"cache_dir={tmp_path / machine}"] for machine in ("one", "two"))
    with pytest.raises(InputError, match=r"data\.root=gone does not exist"):
        run("run", str(path), two)
    work(plan(path, one))
    capsys.readouterr()
    run("run", str(path), two)
    assert "1 planned: 1 done" in capsys.readouterr().out


def test_run_of_another_machine_is_tried_later(planned, memory, monkeypatch, capsys):
    """The first run is another machine's at first; it is given back while the second trains."""
    monkeypatch.setattr(pool, "PAUSE", 0.05)
    one = planned("one")
    other = Lease(opened("out", OUT), one.runs[0].name, "other")
    other.acquire()
    begun = time.monotonic()

    def ended(self, seconds):
        if other.number and time.monotonic() > begun + 0.2:
            with other.renewed():
                other.number = 0
        ends, self.ends = self.ends, []
        return ends

    monkeypatch.setattr(Inline, "ended", ended)
    names = [run.name for run in one.runs]
    started = work(one)
    assert started[:2] == names
    assert set(started[2:]) == {names[0]}
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    events = [word for word in words if word != "trained"]  # that line is of the training
    assert events == ["started", "waits", "started", "done", "done"]
    assert not left(one.runs)


def test_run_that_could_not_be_sent_is_sent_later(planned, memory, monkeypatch):
    one = planned("one")
    work(one._replace(runs=one.runs[:1]))
    url = f"/bucket/sweep/{one.runs[0].name}/report.json"
    content = memory.cat_file(url)
    memory.rm_file(url)  # as if the network had failed then
    stored = StoredRun(OUT, one.runs[0].name, one.runs[0].config.cache_dir)
    stored.unsent.touch()
    stored.lock.with_suffix(".json").unlink()
    monkeypatch.setattr(runs, "WAIT", 0.0)
    with FileLock(stored.lock):  # a process that sends it now is no error
        bring_results(one)
    assert not memory.exists(url)
    send_finished(one)
    assert memory.cat_file(url) == content


@pytest.mark.parametrize(
    ("error", "end"),
    [(HeldError("taken over"), HeldError), (StorageError("no route"), SystemExit)],
    ids=["lease lost", "storage fails"],
)
def test_errors_of_the_storage_do_not_end_the_attempts(planned, error, end):
    def train(config, resume):
        raise error

    run = planned("one").runs[0]
    with pytest.raises(end) as raised:
        worker._train(run, train, files_of(run))
    assert getattr(raised.value, "code", worker.BUSY) in (worker.FAILED, worker.BUSY)
    assert files_of(run).error.is_file() == (end is SystemExit)


def test_status_and_report_read_the_storage(planned, capsys, tmp_path, monkeypatch):
    one = planned("one")
    one.out.mkdir(parents=True)
    write_plan(one)
    send_plan(one)
    work(one._replace(runs=one.runs[:1]))
    running = Lease(opened("out", OUT), one.runs[1].name, "other")
    running.acquire()
    monkeypatch.setenv("DEBIAS_CACHE", str(tmp_path / "desk"))
    show_status(OUT, [])
    printed = capsys.readouterr().out
    assert "2 runs, 1 done, 1 running" in printed
    show_report(OUT, [])
    assert "2 planned: 1 done, 1 running" in capsys.readouterr().out
    assert not list(results_folder(OUT).rglob("*.ckpt"))


def test_the_report_has_the_protocol_of_the_last_command(planned, capsys, tmp_path, monkeypatch):
    one = planned("one")
    one.out.mkdir(parents=True)
    monkeypatch.setenv("DEBIAS_CACHE", str(tmp_path / "desk"))
    write_plan(one)
    for protocol in (Protocol("validation_groups_known"), None, None):
        write_protocol(one.out, protocol)
        send_plan(one)
        show_report(OUT, [])
        assert ("Protocol" in capsys.readouterr().out) == (protocol is not None)


def test_empty_storage_and_references_are_refused(planned, sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("DEBIAS_CACHE", str(tmp_path / "desk"))
    with pytest.raises(InputError, match="none has no runs: check the bucket"):
        results_folder("memory://bucket/none")
    text = 'configs: [waterbirds, waterbirds/dfr: {recipe.backbone: ["{waterbirds}"]}]\n'
    with pytest.raises(InputError, match="needs a folder of runs on a disk"):
        plan(sweep(text), [f"out={OUT}"])
