"""The status of each run of a folder, from its files alone."""

import io
import re
from unittest.mock import patch

import pytest
from rich.console import Console

from debias.__main__ import main
from debias.runs.epochs import EpochState, write_state
from debias.sweeps.files import Files, files_of, statuses, write_plan
from debias.sweeps.plan import Plan, PlannedRun, plan
from debias.sweeps.progress import Progress
from debias.sweeps.status import Board, status_lines, watch_status
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


def test_a_look_finds_new_runs_of_a_folder_without_a_sweep(planned):
    """A search writes its plan at the end."""
    (planned.out / "plan.json").unlink()
    first, second, *_ = planned.runs
    quick(first.config)
    board = Board(planned.out)
    quick(second.config)
    (new,) = board.look()
    assert (new.files.name, new.status) == (second.name, "done")
    assert board.title() == f"{planned.out}: 2 runs, 2 done"


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


def fail(run: PlannedRun) -> None:
    files_of(run).error.parent.mkdir(exist_ok=True)
    files_of(run).error.write_text("OSError: disk full\n\nTraceback")


def test_an_output_that_is_no_terminal_gets_a_line_per_change(planned):
    """A failure ends nothing until a second look: a launcher may try again, as it does here."""
    console = Console(file=io.StringIO(), width=20, soft_wrap=True)
    first, second, *others = planned.runs
    for run in (first, *others):
        quick(run.config)
    moments = iter([lambda: None, lambda: fail(second), lambda: quick(second.config)])
    second.folder.mkdir()
    with patch("debias.sweeps.status.time.sleep", lambda _: next(moments)()):
        watch_status(planned.out, console=console)
    settings = second.settings
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        f"{planned.out}: 5 runs, 4 done, 1 interrupted; no run trains now",
        f"{planned.out}: 5 runs, 4 done, 1 failed; no run trains now",
        f"failed      {settings}: OSError: disk full",
        f"{planned.out}: 5 runs, 5 done",
        f"done        {settings}: validation 10.0 (epoch 0)",
    ]


def test_a_watched_sweep_with_a_failed_run_ends(planned):
    """After two looks, the second without a change."""
    for run in planned.runs[1:]:
        quick(run.config)
    fail(planned.runs[0])
    sleeps = iter([None])
    with patch("debias.sweeps.status.time.sleep", lambda _: next(sleeps)):
        watch_status(planned.out, console=Console(file=io.StringIO()))
    assert next(sleeps, "slept once") == "slept once"


def test_a_look_reads_only_what_has_changed(planned):
    """Two reports are shown, and read once; the folders of runs that are done are not looked at."""
    one, two, *_ = planned.runs
    quick(one.config)
    quick(two.config)
    board = Board(planned.out)
    board.screen(20)
    for run in (one, two):
        (run.folder / "report.json").unlink()
    assert board.look() == []
    quick(planned.runs[2].config)
    (new,) = board.look()
    assert (new.files.name, new.status) == (planned.runs[2].name, "done")
    assert sum("10.0 (epoch 0)" in line for line in board.screen(20)) == 3


def test_a_terminal_shows_as_many_runs_as_it_has_lines(planned):
    first, second, third, *_ = planned.runs
    quick(first.config)
    third.folder.mkdir()
    fail(second)
    with files_of(third).lock():
        lines = Board(planned.out).screen(height=7)
    assert [line.split()[0] for line in lines[3:5]] == ["running", "failed"]
    assert lines[5:] == ["not shown: 1 done, 2 waiting"]
    assert len(lines) < 7


def test_ctrl_c_ends_a_watch_without_a_word(planned, capsys):
    with (
        patch("debias.sweeps.status.time.sleep", side_effect=KeyboardInterrupt),
        pytest.raises(SystemExit) as end,
    ):
        main(["sweep", "status", str(planned.out), "watch=true"])
    assert end.value.code == 130
    printed = capsys.readouterr()
    title = f"{planned.out}: 5 runs, 5 waiting; no run trains now\n"
    assert (printed.out, printed.err) == (title, "")


def test_many_statuses_are_those_of_single_runs(planned):
    """Also of a run that a search has pruned, and of one whose lock nobody holds."""
    done, running, failed, pruned, interrupted = planned.runs
    quick(done.config)
    fail(failed)
    files_of(pruned).pruned.parent.mkdir()
    files_of(pruned).pruned.write_text("behind after epoch 3\n")
    for run in (running, interrupted, pruned):
        run.folder.mkdir()
    with files_of(interrupted).lock():
        pass
    names = [run.name for run in planned.runs] + ["waiting"]
    with files_of(running).lock():
        found = statuses(planned.out, names)
        assert found == {name: Files(planned.out, name).status() for name in names}
    assert list(found.values()) == [
        *("done", "running", "failed", "pruned", "interrupted", "waiting"),
    ]


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
