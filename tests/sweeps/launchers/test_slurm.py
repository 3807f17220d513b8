"""The launcher for Slurm: every way a task can end, on a Slurm of files; once on a real one."""

import fcntl
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from filelock import FileLock
from rich.console import Console

from debias.config import plain
from debias.sweeps.files import files_of, left
from debias.sweeps.launchers import slurm as slurm_launcher
from debias.sweeps.launchers import slurm_jobs
from debias.sweeps.launchers.slurm_jobs import Resources
from debias.sweeps.launchers.slurm_task import names, write_listing
from debias.sweeps.plan import plan
from debias.sweeps.progress import Progress
from tests.sweeps import trainings
from tests.sweeps.launchers import fake_slurm
from tests.sweeps.launchers.fake_slurm import called, submitted
from tests.sweeps.launchers.lost_signals import PLACES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SEEDS = [f"drawn_birds seed={seed}" for seed in range(3)]


@pytest.fixture
def runs(sweep):
    return plan(sweep("configs: [drawn_birds]\nseeds: [0, 1, 2]")).runs


def launched(runs, train=trainings.quick, **options) -> list[str]:
    """The lines that were printed, without the counts."""
    file = io.StringIO()
    with Progress(runs, console=Console(file=file, soft_wrap=True)) as progress:
        slurm_launcher.Slurm(**{"poll": 0.1, **options})(runs, train, progress)
    return [line.partition(" [")[0] for line in file.getvalue().splitlines()]


def wait(until: Callable[[], bool]) -> None:
    for _ in range(3000):
        if until():
            return
        time.sleep(0.02)
    raise AssertionError("waited for a minute")


def done(run) -> bool:
    return files_of(run).report.is_file()


def finish(run) -> None:
    """As a task would that is still at it."""
    fake_slurm.finish(run.folder, plain(run.config))


def change_first_task(slurm, state: str) -> None:
    entries = json.loads((slurm / "tasks.json").read_text())
    entries[0]["state"] = state
    fake_slurm.write(slurm / "tasks.json", entries)


@contextmanager
def meanwhile(script: Callable[[], None]) -> Iterator[None]:
    """Do something else while the launcher works, in the main thread for its signals."""

    def run() -> None:
        try:
            script()
        except BaseException:
            os.kill(os.getpid(), signal.SIGINT)
            raise

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run)
        try:
            yield
        finally:
            other.result()


def test_one_array_for_all_runs(runs, slurm):
    lines = launched(runs, partition="gpu", array_parallelism=2, time="4:00:00")
    assert lines == [f"done    {settings}: validation worst_group 10.0" for settings in SEEDS]
    assert submitted(slurm) == [["seed=0", "seed=1", "seed=2"]]
    (command,) = called(slurm, "sbatch")
    assert {"--array=0-2%2", "--partition=gpu", "--time=4:00:00"} < set(command.split())
    assert left(runs) == []


def test_what_is_done_is_not_submitted(runs, slurm):
    finish(runs[1])
    launched(left(runs))
    assert submitted(slurm) == [["seed=0", "seed=2"]]
    launched([])
    assert len(called(slurm, "sbatch")) == 1


def test_a_run_that_a_search_pruned_is_left_out(runs, slurm):
    files = files_of(runs[0])
    files.pruned.parent.mkdir(parents=True)
    files.pruned.write_text("after epoch 1\n")
    assert launched(runs)[0] == f"pruned  {SEEDS[0]}: after epoch 1"
    assert submitted(slurm) == [["seed=1", "seed=2"]]


def test_a_failing_run_is_tried_again(runs, slurm):
    """With two retries, three attempts."""
    (slurm / "ends").write_text("done raised done raised raised")
    lines = [line for line in launched(runs, retries=2) if line.startswith("failed")]
    again = f"failed  {SEEDS[1]}, tried again: OSError: disk full"
    assert lines == [again, again, f"failed  {SEEDS[1]}: OSError: disk full"]
    assert submitted(slurm) == [["seed=0", "seed=1", "seed=2"], ["seed=1"], ["seed=1"]]
    assert left(runs) == [runs[1]]


def test_a_refused_run_is_not_tried_again(runs, slurm):
    (slurm / "ends").write_text("done refused")
    assert f"failed  {SEEDS[1]}: ValueError: no such picture" in launched(runs, retries=2)
    assert left(runs) == [runs[1]]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("killed", "Slurm's job 1_1 ended: FAILED"),
        ("NODE_FAIL", "Slurm's job 1_1 ended: NODE_FAIL"),
        ("VANISHED", "Slurm's job ? ended: VANISHED (Slurm no longer lists it)"),
        ("CANCELLED", "Slurm's job 1_1 ended: CANCELLED"),
        ("PENDING:launch_failed_requeued_held", "Slurm's job 1_1 ended: CANCELLED"),
    ],
)
def test_a_task_that_ends_without_a_word_is_submitted_again(runs, slurm, word, reason):
    """Nothing of it is left but what Slurm says, if anything; accounting is not asked for."""
    (slurm / "ends").write_text(f"done {word}")
    failed = [line for line in launched(runs) if line.startswith("failed")]
    (line,) = failed
    assert line.startswith(
        f"failed  {SEEDS[1]}, tried again: {reason}; its output is in {files_of(runs[1]).log}"
    )
    assert submitted(slurm)[1:] == [["seed=1"]]
    assert left(runs) == []


def test_out_of_time_is_no_failure_while_epochs_are_finished(runs, slurm):
    """With no retry: twice out of time after another checkpoint, then done; not without one."""
    (slurm / "ends").write_text("late done killed late")
    lines = launched(runs, retries=0)
    stopped = [line for line in lines if line.startswith("stopped")]
    assert stopped == [f"stopped {SEEDS[0]}: Slurm's job {job}_0 ended: TIMEOUT" for job in (1, 2)]
    assert submitted(slurm) == [["seed=0", "seed=1", "seed=2"], ["seed=0"], ["seed=0"]]
    assert left(runs) == [runs[2]]


def test_queued_again_after_it_was_done(runs, slurm):
    """Preempted between its report and its end: nothing of the sweep stays in the queue."""
    (slurm / "ends").write_text("preempted")
    launched(runs)
    assert called(slurm, "scancel") == ["--quiet 1_0"]
    assert left(runs) == []


def test_no_more_at_a_time_than_was_asked_for(runs, slurm):
    """Of an array of three, two at a time, the first has failed: it waits until of the other two
    only one is left.
    """
    (slurm / "ends").write_text("raised RUNNING RUNNING")

    def script() -> None:
        wait(lambda: len(called(slurm, "squeue")) > 6)
        assert len(submitted(slurm)) == 1
        finish(runs[2])
        wait(lambda: len(submitted(slurm)) == 2)
        finish(runs[1])

    with meanwhile(script):
        launched(runs, array_parallelism=2)
    assert submitted(slurm) == [["seed=0", "seed=1", "seed=2"], ["seed=0"]]


def test_long_sweeps_are_several_arrays(runs, slurm, monkeypatch):
    monkeypatch.setattr(slurm_jobs, "LONGEST_ARRAY", 2)
    launched(runs)
    assert submitted(slurm) == [["seed=0", "seed=1"], ["seed=2"]]


def test_a_run_that_is_trained_elsewhere_is_left_alone(runs, slurm):
    """Taken over when it is free: the lock of seed 0 is held at first, as by a local sweep."""
    with files_of(runs[0]).lock() as lock:
        path = lock.lock_file
    held = os.open(path, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)

    def script() -> None:
        wait(lambda: done(runs[2]) and len(called(slurm, "squeue")) > 4)
        assert submitted(slurm) == [["seed=1", "seed=2"]]
        os.close(held)

    with meanwhile(script):
        launched(runs)
    assert submitted(slurm) == [["seed=1", "seed=2"], ["seed=0"]]


def test_requeued_by_slurm(runs, slurm):
    """From running to pending and back is said, and costs nothing."""
    (slurm / "ends").write_text("RUNNING")

    def script() -> None:
        wait(lambda: done(runs[2]))
        for state in ("PENDING", "RUNNING"):
            looks = len(called(slurm, "squeue"))
            wait(lambda looks=looks: len(called(slurm, "squeue")) > looks + 2)
            change_first_task(slurm, state)
        looks = len(called(slurm, "squeue"))
        wait(lambda: len(called(slurm, "squeue")) > looks + 2)
        finish(runs[0])

    with meanwhile(script):
        lines = [line for line in launched(runs, retries=0) if SEEDS[0] in line]
    again = f"stopped {SEEDS[0]}: Slurm queued job 1_0 again"
    assert lines == [
        f"started {SEEDS[0]}",
        again,
        f"started {SEEDS[0]}",
        f"done    {SEEDS[0]}: validation worst_group 10.0",
    ]
    assert len(submitted(slurm)) == 1


def test_jobs_of_a_launcher_that_died_are_taken_over(runs, slurm):
    """Seed 1 waits in the queue, seed 2 has failed since: all but seed 1 is submitted; a listing of
    the past goes.
    """
    (slurm / "ends").write_text("PENDING FAILED")
    folder = runs[0].folder.parent / "slurm"
    for array, chosen in (("debias-old", runs[1:]), ("debias-older", runs[:1])):
        write_listing(folder / f"{array}.json", chosen, trainings.quick, 1)
    slurm_jobs.call(Resources().sbatch(folder / "debias-old.json", 2))

    def script() -> None:
        wait(lambda: done(runs[2]))
        finish(runs[1])

    with meanwhile(script):
        launched(runs)
    assert submitted(slurm) == [["seed=1", "seed=2"], ["seed=0", "seed=2"]]
    assert names(folder / "debias-old.json") == [run.name for run in runs[1:]]
    assert not (folder / "debias-older.json").exists()


def test_ctrl_c_cancels_the_jobs(runs, slurm):
    (slurm / "ends").write_text("done RUNNING PENDING")

    def script() -> None:
        wait(lambda: done(runs[0]) and len(called(slurm, "squeue")) > 2)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), meanwhile(script):
        launched(runs)
    assert called(slurm, "scancel") == ["--quiet 1"]
    assert [entry["state"] for entry in json.loads((slurm / "tasks.json").read_text())][1:] == [
        "CANCELLED"
    ] * 2
    launched(left(runs))
    assert submitted(slurm)[1:] == [["seed=1", "seed=2"]]


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_in_a_destructor_or_a_callback_cancels_the_jobs(runs, slurm, monkeypatch, place):
    """If the signal were lost, the runs would be done at the launcher's twentieth look, and it
    would end as usual.
    """
    (slurm / "ends").write_text("done RUNNING PENDING")
    places = [place]
    monkeypatch.setattr(Progress, "show", lambda _: places and places.pop()())

    def script() -> None:
        wait(lambda: bool(called(slurm, "scancel")) or len(called(slurm, "squeue")) > 20)
        for run in runs[1:]:
            finish(run)

    with pytest.raises(KeyboardInterrupt), meanwhile(script):
        launched(runs)
    assert called(slurm, "scancel") == ["--quiet 1"]


def test_a_second_ctrl_c_does_not_wait_for_the_jobs(runs, slurm, monkeypatch):
    """The jobs are slow to end: Slurm shows them as COMPLETING for ever."""
    (slurm / "ends").write_text("COMPLETING COMPLETING COMPLETING")
    monkeypatch.setattr(slurm_launcher, "FAREWELL", 900.0)

    def script() -> None:
        wait(lambda: len(called(slurm, "squeue")) > 2)
        os.kill(os.getpid(), signal.SIGINT)
        looks = len(called(slurm, "squeue"))
        wait(lambda: len(called(slurm, "squeue")) > looks + 2)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), meanwhile(script):
        launched(runs)
    assert called(slurm, "scancel") == []


def test_ctrl_c_that_ends_a_command_of_slurm_too_is_no_fault_of_slurm(runs, slurm):
    """As in a terminal: ``squeue`` gets the signal before the launcher has its first answer."""
    listing = runs[0].folder.parent / "slurm" / "debias-old.json"
    write_listing(listing, runs, trainings.quick, 1)
    (slurm / "squeue").write_text(f"#!/bin/sh\nkill -INT {os.getpid()}\nexit 130\n")
    with pytest.raises(KeyboardInterrupt):
        launched(runs)
    assert submitted(slurm) == []


def test_refused_submission(runs, slurm):
    (slurm / "broken").write_text("sbatch: error: invalid partition specified: gpuu\n")
    with pytest.raises(
        ValueError,
        match=r"sbatch: error: invalid partition specified: gpuu\. Repair this, and start",
    ):
        launched(runs)


def test_slurm_may_be_silent_for_a_while(runs, slurm, monkeypatch):
    """A controller that is restarted is waited for; silence beyond PATIENCE ends the launcher."""
    (slurm / "ends").write_text("RUNNING")

    def silence(looks: int) -> None:
        before = len(called(slurm, "squeue"))
        (slurm / "broken").write_text("slurm_load_jobs error: Unable to contact slurm controller")
        wait(lambda: len(called(slurm, "squeue")) > before + looks)
        (slurm / "broken").unlink()

    def short() -> None:
        wait(lambda: done(runs[2]))
        silence(3)
        finish(runs[0])

    with meanwhile(short):
        assert f"done    {SEEDS[0]}: validation worst_group 10.0" in launched(runs)
    files_of(runs[0]).report.unlink()
    monkeypatch.setattr(slurm_launcher, "PATIENCE", 0.0)

    def long() -> None:
        looks = len(called(slurm, "squeue"))
        wait(lambda: len(called(slurm, "squeue")) > looks + 2)
        (slurm / "broken").write_text("Unable to contact slurm controller")

    with (
        pytest.raises(
            ValueError, match=r"Unable to contact slurm controller\. Repair this, and start"
        ),
        meanwhile(long),
    ):
        launched(runs[:1])


def test_one_launcher_for_a_folder(runs, slurm):
    folder = runs[0].folder.parent / "slurm"
    folder.mkdir(parents=True)
    with (
        FileLock(folder / "launcher.lock"),
        pytest.raises(ValueError, match=f"submits the runs of {folder.parent}"),
    ):
        launched(runs)


def test_on_a_real_slurm(runs):
    """Seed 1 is killed by SIGKILL at first, and tried again; the others are done at once."""
    try:
        subprocess.run(["sinfo"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no Slurm is running here")
    lines = launched(runs, trainings.seed_one_is_killed_once, poll=1, time="20")
    (failed,) = (line for line in lines if line.startswith("failed"))
    assert failed.startswith(f"failed  {SEEDS[1]}, tried again: Slurm's job ")
    assert "ended: FAILED (RaisedSignal:9(Killed)); its output is in" in failed
    assert left(runs) == []
    assert (runs[1].folder / "attempts.txt").read_text() == "begun\nbegun\nresumed\n"
    assert [trainings.attempts(run.config) for run in (runs[0], runs[2])] == [1, 1]
