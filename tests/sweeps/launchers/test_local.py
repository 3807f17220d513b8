"""The local launcher with stand-ins for training: every way in which a run can end."""

import gc
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from debias.reports.templates import environment
from debias.sweeps.files import files_of, left
from debias.sweeps.launchers.local import Local, fork_context
from debias.sweeps.launchers.pieces import OutOfTime
from debias.sweeps.plan import plan
from debias.sweeps.progress import Progress
from tests.forked import forked
from tests.sweeps import trainings
from tests.sweeps.launchers.launching import assert_every_run_once, printed_lines, stop_two
from tests.sweeps.launchers.lost_signals import PLACES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def runs(sweep):
    return plan(sweep("configs: [drawn_birds]\nseeds: [0, 1, 2]")).runs


def launched(runs, train, **options) -> list[str]:
    return printed_lines(Local(threads=1, **options), runs, train)


def test_every_run_once(runs):
    assert_every_run_once(launched(runs, trainings.quick), runs)
    assert not files_of(runs[2]).error.exists()


def test_a_failing_run_is_tried_again_and_leaves_its_traceback(runs):
    """Two retries, three attempts; the reason is the error's first line, the log has tracebacks."""
    lines = launched(runs, trainings.seed_one_fails, retries=2)
    reason = "OSError: [Errno 28] No space left on device"
    failed = [line for line in lines if line.startswith("failed")]
    assert [line.split(":")[0] for line in failed] == [
        *["failed  drawn_birds seed=1, tried again"] * 2,
        "failed  drawn_birds seed=1",
    ]
    assert left(runs) == [runs[1]]
    assert trainings.attempts(runs[1].config) == 3
    files = files_of(runs[1])
    assert (files.status(), files.reason()) == ("failed", reason)
    assert "in seed_one_fails" in files.error.read_text()
    assert files.log.read_text().count("Traceback") == 3


def test_a_refused_run_is_not_tried_again(runs):
    launched(runs, trainings.seed_one_is_refused, retries=2)
    assert left(runs) == [runs[1]]
    assert trainings.attempts(runs[1].config) == 1
    assert files_of(runs[1]).reason() == "InputError: images/7.jpg cannot be read: restore it"


def test_a_killed_worker_is_replaced_and_resumes(runs):
    lines = launched(runs, trainings.seed_one_is_killed_once)
    reason = f"the process was ended by SIGKILL; its output is in {files_of(runs[1]).log}"
    assert f"failed  drawn_birds seed=1, tried again: {reason}" in lines
    assert left(runs) == []
    assert (runs[1].folder / "attempts.txt").read_text() == "begun\nbegun\nresumed\n"


def test_only_a_report_makes_a_run_done(runs):
    """A process that ends with code 0 and without a report has failed."""
    launched(runs, trainings.seed_one_leaves_quietly, retries=0)
    assert left(runs) == [runs[1]]
    assert files_of(runs[1]).reason().startswith("the process ended with code 0 and no report")


def test_a_failed_run_is_done_by_the_next_sweep(runs):
    launched(runs, trainings.seed_one_fails, retries=0)
    launched(left(runs), trainings.quick)
    assert left(runs) == []
    assert files_of(runs[1]).status() == "done"


def test_a_piece_ends_and_the_next_one_continues(runs):
    """One run has no time for another epoch, then none ends one: the next command trains all."""
    with pytest.raises(OutOfTime, match=r"the time is over$"):
        launched(runs, trainings.seed_zero_is_late, minutes=60, workers=1)
    assert left(runs) == list(runs)
    assert [trainings.attempts(run.config) for run in runs] == [1, 0, 0]
    assert files_of(runs[0]).status() == "interrupted"
    with pytest.raises(OutOfTime, match="before any run has finished an epoch: give more minutes"):
        launched(runs, trainings.endless_but_watched, minutes=0.05)
    assert left(runs) == list(runs)
    launched(runs, trainings.quick)
    assert left(runs) == []
    assert (runs[0].folder / "attempts.txt").read_text().splitlines()[-1] == "resumed"


def test_a_folder_without_config_is_begun_anew(runs):
    """Killed between making the folder and writing its config: there is nothing to resume."""
    runs[0].folder.mkdir(parents=True)
    launched(runs, trainings.quick)
    assert (runs[0].folder / "attempts.txt").read_text() == "started\n"


def test_a_diverged_run_is_a_failure_with_its_reason(runs):
    """Another attempt would diverge at the same step: it is not tried again."""
    launched(runs, trainings.seed_one_diverges, retries=2)
    assert left(runs) == [runs[1]]
    assert trainings.attempts(runs[1].config) == 1
    message = (
        "InputError: training diverged: the loss of step 3 of epoch 0 (counted from 0) is not "
        "finite; no checkpoint"
    )
    assert files_of(runs[1]).reason().startswith(message)


def test_two_sweeps_share_the_work(runs):
    """Both end when everything is done; nothing is trained twice."""
    children = [forked(launched, runs, trainings.slow) for _ in range(2)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert [trainings.attempts(run.config) for run in runs] == [1, 1, 1]


def test_a_stopped_sweep_leaves_no_worker(runs):
    """SIGINT to the launcher ends the workers, which themselves ignore it."""
    stop_two(runs)
    with pytest.raises(KeyboardInterrupt):
        launched(runs, trainings.endless, workers=2)
    assert [files_of(run).status() for run in runs] == ["interrupted", "interrupted", "waiting"]
    assert trainings.attempts(runs[0].config) == 1
    launched(runs, trainings.quick)
    assert (runs[0].folder / "attempts.txt").read_text() == "begun\nresumed\n"
    assert left(runs) == []


def test_a_killed_sweep_leaves_no_worker(runs):
    """The launcher cannot end the worker, and the worker ends itself and frees the run."""
    files = files_of(runs[0])
    sweep = forked(launched, runs[:1], trainings.endless)
    while not trainings.attempts(runs[0].config):
        time.sleep(0.02)
    assert files.locked()
    sweep.kill()
    for _ in range(500):
        if not files.locked():
            break
        time.sleep(0.02)
    assert not files.locked()


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_in_a_destructor_or_a_callback_stops_the_sweep(runs, monkeypatch, place):
    """The signal comes beside the first of three runs, one at a time: if it were lost, all three
    would be done.
    """
    places = [place]
    monkeypatch.setattr(Progress, "show", lambda _: places and places.pop()())
    with pytest.raises(KeyboardInterrupt):
        launched(runs, trainings.slow, workers=1)
    assert left(runs)[-2:] == list(runs[1:])


def test_a_second_ctrl_c_does_not_wait_for_the_workers(runs):
    """The worker takes no notice of the first, and is killed."""
    log = files_of(runs[0]).log

    def stop() -> None:
        while not log.is_file() or "ready" not in log.read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(2)  # the launcher looks every half second
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop).start()
    with pytest.raises(KeyboardInterrupt):
        launched(runs[:1], trainings.deaf, workers=1)
    assert log.read_text().split()[2:] == ["ready"]
    assert left(runs[:1]) == [runs[0]]


def test_sigterm_that_ends_the_fork_server_too_is_no_error(runs, monkeypatch):
    """As when a signal goes to the whole process group."""

    def start(engine: object, run: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        raise EOFError("unexpected EOF")

    monkeypatch.setattr("debias.sweeps.launchers.local.Processes.start", start)
    with pytest.raises(KeyboardInterrupt):
        launched(runs, trainings.quick)


def begun(file: Path) -> None:
    """Write what a process has at its beginning."""
    heavy = ("albumentations", "matplotlib.figure", "pytorch_lightning", "torch.utils.tensorboard")
    found = [name for name in heavy if name not in sys.modules]
    facts = [found, gc.get_freeze_count() > 100_000, environment.cache_info().currsize]
    file.write_text(json.dumps(facts))


def test_a_process_begins_with_imports_that_its_collector_leaves_out(tmp_path):
    """And with the compiled template of the page."""
    process = fork_context().Process(target=begun, args=(tmp_path / "facts.json",))
    process.start()
    process.join()
    assert json.loads((tmp_path / "facts.json").read_text()) == [[], True, 1]
