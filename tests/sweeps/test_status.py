"""The status of each run of a folder, from its files alone."""

import io
import re
from unittest.mock import patch

import pytest
from rich.console import Console

from debias.__main__ import main
from debias.runs.epochs import EpochState, write_state
from debias.sweeps.files import files_of, write_plan
from debias.sweeps.plan import Plan, plan
from debias.sweeps.progress import Progress
from debias.sweeps.status import status_lines, watch_status
from tests.sweeps.trainings import quick

STATE = EpochState(
    epoch=33, epochs=100, loss=0.25, kind="group", worst=0.5, average=0.75, rule="worst_group",
    best=0.625, best_epoch=20, seconds=11.0, left=726.0,
)  # fmt: skip


@pytest.fixture
def planned(sweep) -> Plan:
    """Five runs; the stand-in reads a worst group of 10 %."""
    planned = plan(sweep("configs: [drawn_birds]\nseeds: [0, 1, 2, 3, 4]"), ["optimizer.lr=0.01"])
    write_plan(planned)
    return planned


def table(lines: list[str]) -> dict[str, list[str]]:
    """The cells of each run, by its seed."""
    rows = [re.split(r"\s{2,}", line) for line in lines[3:]]
    return {row[-1].partition("seed=")[2]: row[:-1] for row in rows}


def test_every_run_has_its_status_epoch_and_time_left(planned):
    """A done run, one in its last stage, one in its first, a failed one and a waiting one."""
    done, running, first, failed, _ = planned.runs
    quick(done.config)
    running.folder.mkdir()
    write_state(running.folder, STATE)
    stage = first.folder / "stages" / "identification"
    stage.mkdir(parents=True)
    write_state(stage, STATE)
    files_of(failed).error.parent.mkdir()
    files_of(failed).error.write_text("OSError: disk full\n\nTraceback")
    with files_of(running).lock():
        lines = status_lines(planned.out)
    counts = "1 done, 1 running, 1 interrupted, 1 failed, 1 waiting"
    assert lines[0] == f"{planned.out}: 5 runs, {counts}"
    assert table(lines) == {
        "0": ["done", "-", "-", "10.0 (epoch 0)", "-"],
        "1": ["running", "34/100", "50.0", "62.5 (epoch 20)", "12 min"],
        "2": ["interrupted", "identification 34/100", "50.0", "62.5 (epoch 20)", "-"],
        "3: OSError: disk full": ["failed", "-", "-", "-", "-"],
        "4": ["waiting", "-", "-", "-", "-"],
    }


def test_a_folder_of_runs_without_a_sweep_has_a_status_too(tmp_path, planned, capsys):
    quick(planned.runs[0].config)
    (planned.out / "plan.json").unlink()
    assert main(["sweep", "status", str(planned.out)]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    assert line.split() == ["done", "-", "-", "10.0", "(epoch", "0)", "-", planned.runs[0].name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "contains no sweep"),
        (["workers=2"], "takes watch=true beside the folder"),
    ],
)
def test_other_input_is_an_error(arguments, message, tmp_path, capsys):
    assert main(["sweep", "status", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_watched_table_changes_until_every_run_has_ended(planned):
    """A run begins and ends during the pauses. Running ones are first."""
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    *others, last = planned.runs
    for run in others:
        quick(run.config)
    moments = iter([lambda: write_state(last.folder, STATE), lambda: quick(last.config)])
    last.folder.mkdir()
    with files_of(last).lock(), patch("debias.sweeps.status.time.sleep", lambda _: next(moments)()):
        watch_status(planned.out, console=console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    counts = re.findall(r"5 runs, (.*?)\r?\n", printed)
    assert list(dict.fromkeys(counts)) == ["4 done, 1 running", "5 done"]
    first = re.findall(r"---\s+(\w+) +(\S+)", printed)  # row below each heading
    states = [("running", "-"), ("running", "34/100"), ("done", "-")]
    assert list(dict.fromkeys(first)) == states
    assert next(moments, None) is None


def test_the_live_table_shows_the_epoch_of_each_running_run(planned):
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    run = planned.runs[0]
    run.folder.mkdir()
    with Progress(planned.runs, console=console) as progress:
        progress.started(run)
        progress.show()
        write_state(run.folder, STATE)
        progress.show()
    before, _, after = console.file.getvalue().partition("epoch 34/100")  # type: ignore[attr-defined]
    assert "running" in before
    assert after.startswith(", worst 50.0, 12 min left")
