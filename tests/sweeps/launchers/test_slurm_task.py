"""What a task of a job array does."""

import os
import subprocess
import sys

import pytest

from debias.sweeps.files import files_of, left
from debias.sweeps.launchers import slurm_task
from debias.sweeps.launchers.slurm_task import perform, write_listing
from debias.sweeps.launchers.worker import BUSY, FAILED
from debias.sweeps.plan import plan
from tests.forked import forked
from tests.sweeps import trainings


@pytest.fixture
def runs(sweep):
    return plan(sweep("configs: [drawn_birds]\nseeds: [0, 1, 2]")).runs


def test_a_task_trains_the_run_of_its_element(runs, tmp_path, monkeypatch):
    """The run of the listing is that of the plan, whatever its options; a lock that is taken is
    asked for again.
    """
    calls = []

    def attempt(run, train, threads, slot):
        calls.append((run.name, run.settings, train, threads, slot))
        if len(calls) < 3:
            sys.exit(BUSY)
        sys.exit(FAILED)

    monkeypatch.setattr(slurm_task, "attempt", attempt)
    monkeypatch.setattr(slurm_task.time, "sleep", lambda seconds: None)
    write_listing(tmp_path / "debias-1.json", runs, trainings.quick, 3)
    with pytest.raises(SystemExit) as end:
        perform(tmp_path / "debias-1.json", 1)
    assert end.value.code == FAILED
    assert calls == [(runs[1].name, "drawn_birds seed=1", trainings.quick, 3, 0)] * 3
    monkeypatch.setattr(slurm_task, "attempt", lambda *arguments: sys.exit(BUSY))
    with pytest.raises(SystemExit) as end:
        perform(tmp_path / "debias-1.json", 1)
    assert end.value.code == BUSY


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_of_a_task(runs, tmp_path):
    """What ``sbatch --wrap`` runs: exit code 2 where the run was refused, 0 where it is done."""
    listing = tmp_path / "debias-1.json"
    write_listing(listing, runs, trainings.seed_one_is_refused, 1)
    command = [sys.executable, "-m", "debias.sweeps.launchers.slurm_task", str(listing)]
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    assert subprocess.run(command, env=environment).returncode == 2
    done = forked(perform, listing, 0)
    done.join()
    assert done.exitcode == 0
    assert files_of(runs[1]).reason() == "InputError: images/7.jpg cannot be read: restore it"
    assert left(runs) == list(runs[1:])
