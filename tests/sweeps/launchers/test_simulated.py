"""The simulated cluster of ``scripts/bench simulate``: makespans by hand, on the real pool."""

import importlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from debias import config as configs
from debias.sweeps.launchers.pool import Pool
from debias.sweeps.plan import PlannedRun, plan
from debias.sweeps.progress import Progress
from tests.reports.sample_runs import sample_report

BENCHMARKS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.mark.parametrize(
    ("share", "slots", "makespan", "trained", "waited"),
    [(False, 2, 180, 320, 0), (True, 2, 185, 220, 50), (True, 1, 270, 220, 0)],
)
def test_makespans_by_hand(sweep, monkeypatch, share, slots, makespan, trained, waited):
    """Runs A, B, C have an equal first stage of 50 s, and last stages of 10, 60 and 50 s. D has one
    stage of 50 s. A run starts in 10 s, and takes a stage in 5 s.

    Two slots, nothing shared: A 0-70, B 0-120, C 70-180, D 120-180.
    Two slots, shared: A 0-70. B waits from 10 to 60, and ends at 125. C 70-135, D 125-185.
    One slot, shared: A 0-70, B 70-145, C 145-210, D 210-270.
    """
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    simulated: Any = importlib.import_module("simulated_cluster")
    runs = plan(sweep("configs: [drawn_birds]\nseeds: [0, 1, 2, 3]")).runs
    first, last = [simulated.Stage("first", 50)], [simulated.Stage("", 50)]
    made = [[*first, simulated.Stage("", seconds)] for seconds in (10, 60, 50)]
    stages = {run.name: own for run, own in zip(runs, [*made, last], strict=True)}
    monkeypatch.setattr(simulated, "START", 10)
    monkeypatch.setattr(simulated, "TAKE", 5)

    def finish(run: PlannedRun, seconds: float) -> None:
        """Write the report of a run."""
        run.folder.mkdir(parents=True)
        report = sample_report(config=configs.plain(run.config))
        (run.folder / "report.json").write_text(json.dumps(report))

    cluster = simulated.Cluster(slots, stages, finish, share=share)
    with Progress(runs, console=Console(file=io.StringIO())) as progress:
        Pool(cluster, runs, progress, retries=0).work()
    assert (cluster.now, cluster.trained, cluster.waited) == (makespan, trained, waited)
    assert progress.status == dict.fromkeys((run.name for run in runs), "done")
