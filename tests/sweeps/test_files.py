"""A run's status follows from its files and its lock alone."""

import os
import signal
import subprocess
import sys

import pytest

from debias.sweeps.files import Files, files_of, left, read_plan, write_plan
from debias.sweeps.plan import plan

HOLD = """
import sys, time
from pathlib import Path
from debias.sweeps.files import Files
with Files(Path(sys.argv[1]), "run").lock():
    print("held", flush=True)
    time.sleep(600)
"""


def test_status(tmp_path):
    files = Files(tmp_path, "run")
    assert (files.status(), files.reason()) == ("waiting", "")
    assert list(tmp_path.iterdir()) == []  # looking leaves no trace
    files.report.parent.mkdir()
    assert files.status() == "interrupted"
    files.error.parent.mkdir()
    files.error.write_text("OSError: disk full\n\nTraceback")
    assert (files.status(), files.reason()) == ("failed", "OSError: disk full")
    with files.lock():
        assert files.status() == "running"
    files.report.touch()
    assert files.status() == "done"


@pytest.mark.slow
def test_the_lock_dies_with_its_holder(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        assert Files(tmp_path, "run").status() == "running"
        os.kill(holder.pid, signal.SIGKILL)
    assert Files(tmp_path, "run").status() == "waiting"


def test_plan_is_noted_in_the_folder(sweep):
    planned = plan(sweep("configs: [drawn_birds]\nseeds: [0, 1]"))
    write_plan(planned)
    assert read_plan(planned.out) == [(run.name, run.settings) for run in planned.runs]
    with pytest.raises(
        ValueError,
        match=r"contains no sweep \(no plan.json\)\. Give the folder of `debias sweep run`",
    ):
        read_plan(planned.out.parent)


def test_left(sweep):
    first, second = plan(sweep("configs: [drawn_birds]\nseeds: [0, 1]")).runs
    first.folder.mkdir(parents=True)
    files_of(first).report.touch()
    assert left([first, second]) == [second]
