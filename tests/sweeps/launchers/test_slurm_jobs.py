"""What is said to Slurm, and how its answers are read."""

import json
import sys
from pathlib import Path

import pytest

from debias.sweeps.launchers import slurm_jobs
from debias.sweeps.launchers.slurm_jobs import (
    Key,
    Resources,
    SlurmError,
    Task,
    call,
    cancel,
    queue,
    squeue,
    tasks,
)


def test_the_least_that_is_asked_for():
    """Nothing is said of what Slurm is to choose."""
    assert Resources().sbatch(Path("my runs/100%/debias-1f.json"), 8) == [
        "sbatch",
        "--parsable",
        "--requeue",
        "--job-name=debias-1f",
        "--array=0-7",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=1",
        "--open-mode=append",
        "--output=my runs/100%%/debias-1f_%a.txt",
        f"--wrap=exec {sys.executable} -m debias.sweeps.launchers.slurm_task "
        "'my runs/100%/debias-1f.json'",
    ]


def test_everything_that_can_be_asked_for():
    resources = Resources(
        partition="gpu",
        gpus_per_run=1,
        cpus_per_run=4,
        memory="16G",
        time="4:00:00",
        array_parallelism=3,
    )
    command = resources.sbatch(Path("debias-1f.json"), 1)
    assert {
        "--array=0-0%3",
        "--cpus-per-task=4",
        "--partition=gpu",
        "--gres=gpu:1",
        "--mem=16G",
        "--time=4:00:00",
    } < set(command)


def test_answers():
    """As ``squeue`` of Slurm 24.11 prints them; code and signal are apart, and the code is 0 if a
    signal ended it.
    """
    text = (
        "debias-abc   |2   |1   |FAILED    |0:9   |RaisedSignal:9(Killed)   |\n"
        "debias-abc   |0   |1   |FAILED    |2:0   |NonZeroExitCode          |\n"
        "debias-abc   |10  |1   |RUNNING   |0:0   |None                     |\n"
    )
    found = tasks(text)
    assert found == {
        Key("debias-abc", 2): Task("1_2", "FAILED", 0, "RaisedSignal:9(Killed)"),
        Key("debias-abc", 0): Task("1_0", "FAILED", 2, "NonZeroExitCode"),
        Key("debias-abc", 10): Task("1_10", "RUNNING", 0, "None"),
    }
    assert [task.ended for task in found.values()] == [True, True, False]
    assert (
        found[Key("debias-abc", 2)].end == "Slurm's job 1_2 ended: FAILED (RaisedSignal:9(Killed))"
    )
    assert tasks("") == {}


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        *(
            (state, True)
            for state in (
                "COMPLETED",
                "TIMEOUT",
                "CANCELLED",
                "NODE_FAIL",
                "OUT_OF_MEMORY",
                "PREEMPTED",
            )
        ),
        *(
            (state, False)
            for state in (
                "PENDING",
                "RUNNING",
                "COMPLETING",
                "SUSPENDED",
                "CONFIGURING",
                "REQUEUED",
            )
        ),
    ],
)
def test_which_states_are_the_end(state, ended):
    assert Task("1_0", state).ended is ended


def test_a_task_that_no_node_could_start_is_stuck():
    assert Task("1_0", "PENDING", reason="launch failed requeued held").stuck
    assert Task("1_0", "PENDING", reason="launch_failed_requeued_held").stuck
    assert not Task("1_0", "PENDING", reason="JobHeldUser").stuck


def test_queue_and_cancel(slurm):
    """Two arrays, of two tasks and of one; tasks are cancelled by number, an array by its job's."""
    known = [("debias-a", 0, "1"), ("debias-a", 1, "1"), ("debias-b", 0, "2")]
    entries = [
        {"array": a, "element": e, "job": job, "state": "RUNNING", "code": "0:0"}
        for a, e, job in known
    ]
    (slurm / "tasks.json").write_text(json.dumps(entries))
    numbers = {key: task.number for key, task in queue({"debias-a"}).items()}
    assert numbers == {Key("debias-a", 0): "1_0", Key("debias-a", 1): "1_1"}
    cancel(["1_1", "2"])
    states = [task.state for task in queue(["debias-a", "debias-b"]).values()]
    assert states == ["RUNNING", "CANCELLED", "CANCELLED"]


def test_nothing_is_asked_about_nothing(slurm):
    """Without a name ``squeue`` would answer for everybody, and ``scancel`` would refuse."""
    assert queue([]) == {}
    cancel([])
    assert not (slurm / "commands").exists()
    assert "--name=debias-a,debias-b" in squeue(["debias-a", "debias-b"])


def test_refusals(slurm, monkeypatch):
    (slurm / "broken").write_text("sbatch: error: invalid partition specified: gpuu")
    with pytest.raises(
        SlurmError, match="sbatch: sbatch: error: invalid partition specified: gpuu"
    ):
        call(["sbatch"])
    monkeypatch.setattr(slurm_jobs, "TIMEOUT", 0.01)
    with pytest.raises(SlurmError, match=r"sleep did not answer within 0.01 seconds"):
        call(["sleep", "5"])
    with pytest.raises(
        ValueError, match=r"launcher=slurm needs sinfoo, which is missing\. Start it on a machine"
    ):
        call(["sinfoo"])
