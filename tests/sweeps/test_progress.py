"""What is said of a sweep while it runs."""

import io

import pytest
from rich.console import Console

from debias.sweeps.cost import costs_of
from debias.sweeps.plan import PlannedRun, plan
from debias.sweeps.progress import Progress
from tests.sweeps.trainings import quick


@pytest.fixture
def runs(sweep) -> tuple[PlannedRun, ...]:
    """Four, of two learning rates; the stand-in reads 10 % at the lower and 30 % at the higher,
    after 4 seconds.
    """
    runs = plan(
        sweep("configs: [drawn_birds]\nseeds: [0, 1]\ngrid: {optimizer.lr: [0.01, 0.03]}")
    ).runs
    runs[0].folder.parent.mkdir()
    return runs


def finish(run: PlannedRun) -> None:
    quick(run.config)


def test_counts_the_best_and_the_time_left(runs, monkeypatch):
    """Two run at once, 4 s each: with 1 s of one gone, 3 + 4 + 4 s for two workers are left."""
    clock = [100.0]
    monkeypatch.setattr("debias.sweeps.progress.time.monotonic", lambda: clock[0])
    progress = Progress(runs, console=Console(file=io.StringIO()))
    assert progress.summary() == "0/4 done, 4 waiting"
    progress.started(runs[0])
    finish(runs[0])
    progress.done(runs[0])
    progress.started(runs[1])
    clock[0] += 1
    progress.started(runs[2])
    assert progress.seconds_left() == pytest.approx((3 + 4 + 4) / 2)
    best = "best validation worst_group 10.0 (drawn_birds optimizer.lr=0.01 seed=0)"
    assert progress.summary() == f"1/4 done, 2 running, 1 waiting, about 6 s left, {best}"
    finish(runs[1])
    progress.done(runs[1])
    assert (
        "best validation worst_group 30.0 (drawn_birds optimizer.lr=0.03 seed=0)"
        in progress.summary()
    )
    progress.failed(runs[2], "OSError: disk full", again=False)
    progress.failed(runs[3], "OSError: disk full", again=True)
    assert progress.summary().startswith("2/4 done, 1 failed, 1 waiting, about 4 s left, best")


def test_the_best_has_the_least_of_what_a_rule_minimises(runs):
    """10 % at the lower rate and 30 % at the higher, whichever ends first."""
    progress = Progress(runs, console=Console(file=io.StringIO()))
    for run in (runs[1], runs[0]):
        finish(run)
        path = run.folder / "report.json"
        path.write_text(path.read_text().replace('"worst_group"', '"class_difference"'))
        progress.started(run)
        progress.done(run)
    assert (
        "best validation class_difference 10.0 (drawn_birds optimizer.lr=0.01 seed=0)"
        in progress.summary()
    )
    assert (
        "best validation class_difference 10.0"
        in Progress(runs[::-1], console=Console(file=io.StringIO())).summary()
    )


def test_each_selection_rule_has_its_best_run(runs):
    """An average of 30 % is not better than a worst group of 10 %."""
    for run in runs[:2]:
        finish(run)
    path = runs[1].folder / "report.json"
    path.write_text(path.read_text().replace('"worst_group"', '"average"'))
    assert (
        Progress(runs, console=Console(file=io.StringIO()))
        .summary()
        .endswith(
            "best validation worst_group 10.0 (drawn_birds optimizer.lr=0.01 seed=0), "
            "best validation average 30.0 (drawn_birds optimizer.lr=0.03 seed=0)"
        )
    )


def test_runs_that_are_done_already_are_counted(runs):
    finish(runs[1])
    progress = Progress(runs, console=Console(file=io.StringIO()))
    assert progress.summary().startswith("1/4 done, 3 waiting, about 12 s left, best")
    assert progress.seconds_left() == pytest.approx(12)


def test_a_line_for_each_event_where_there_is_no_terminal(runs):
    file = io.StringIO()
    with Progress(runs, console=Console(file=file, soft_wrap=True)) as progress:
        progress.started(runs[0])
        finish(runs[0])
        progress.done(runs[0])
        progress.failed(runs[1], "OSError: [Errno 28] full", again=True)
    first, second, third = file.getvalue().splitlines()
    assert first == "started drawn_birds optimizer.lr=0.01 seed=0 [0/4 done, 1 running, 3 waiting]"
    assert second.startswith(
        "done    drawn_birds optimizer.lr=0.01 seed=0: validation worst_group 10.0 [1/4 done"
    )
    assert third.startswith(
        "failed  drawn_birds optimizer.lr=0.03 seed=0, tried again: OSError: [Errno 28] full ["
    )


def test_a_terminal_shows_who_is_running(runs):
    file = io.StringIO()
    with Progress(runs, console=Console(file=file, force_terminal=True, width=100)) as progress:
        progress.started(runs[0])
        progress.show()
        assert "running  drawn_birds optimizer.lr=0.01 seed=0  0 s" in file.getvalue()
        assert "started" not in file.getvalue()
        progress.failed(runs[0], "OSError: disk full", again=False)
        assert "failed  drawn_birds optimizer.lr=0.01 seed=0: OSError: disk full" in file.getvalue()


def test_configs_of_one_name_have_their_own_costs(sweep, tmp_path):
    """The name in a file is not that of the run: two files may have the same."""
    for number, name in enumerate("ab", 1):
        (tmp_path / f"{name}.yaml").write_text(f"extends: drawn_birds\nname: mine\nclip: {number}")
    one, other = plan(sweep("configs: [a.yaml, b.yaml]\ngrid: {epochs: [1]}")).runs
    one.folder.parent.mkdir()
    finish(one)
    costs = costs_of([one, other])
    assert (costs.expected(one), costs.expected(other)) == (4.0, None)


def test_costs_are_those_of_the_same_config(runs, sweep):
    finish(runs[0])
    (other,) = plan(sweep("configs: [drawn_birds: {sampler.name: [group_balanced]}]")).runs
    costs = costs_of(runs)
    assert (costs.expected(runs[3]), costs.expected(other)) == (4.0, None)
