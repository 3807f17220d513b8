"""Work in pieces: a run that has no time for another epoch ends, and goes on as if it had not."""

import math
import time
from pathlib import Path

import pytest

from debias import config as configs
from debias.commands.train import train
from debias.reports.record import read_report
from debias.sweeps.launchers.pieces import OutOfTime, TimedTraining, end_before, has_progress
from debias.sweeps.plan import PlannedRun
from tests.commands.conftest import GROUP_DRO, overrides


def history(*seconds: float) -> list[dict[str, float]]:
    return [{"seconds": one} for one in seconds]


def test_an_epoch_that_does_not_fit_ends_the_run() -> None:
    """The last epoch took 50 s; 100 s are left, then 40. After the last of 3 nothing ends."""
    now = time.monotonic()
    end_before(now + 100, 3, history(500, 50))
    with pytest.raises(OutOfTime, match="the next epoch takes 50 s"):
        end_before(now + 40, 3, history(5, 50))
    end_before(now + 40, 3, history(5, 5, 50))


def test_pieces_give_the_numbers_of_one_run(tmp_path: Path, finished: Path) -> None:
    """Two pieces have time for one epoch, and the last one for the third."""
    options = overrides(tmp_path, *GROUP_DRO, "strategy.step_size=0.1")
    run = PlannedRun("drawn_birds", (), configs.load("drawn_birds", options))
    began = time.time()
    assert not has_progress([run], began)
    for resume in (None, run.folder):
        with pytest.raises(OutOfTime):
            TimedTraining(train, 0.0)(run.config, resume=resume)
    assert has_progress([run], began - 1)
    assert not has_progress([run], time.time() + 60)
    assert not (run.folder / "report.json").is_file()
    TimedTraining(train, math.inf)(run.config, resume=run.folder)
    found, expected = read_report(run.folder), read_report(finished)
    assert len(found.history) == 3
    assert [epoch.val for epoch in found.history] == [epoch.val for epoch in expected.history]
    assert found.metrics == expected.metrics
