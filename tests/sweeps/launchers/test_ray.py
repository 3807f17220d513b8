"""What the launcher for Ray decides without a cluster."""

import sys
from types import SimpleNamespace

import pytest

from debias.errors import InputError
from debias.launched import Launched, launched
from debias.sweeps.launchers.ray import Ray, Tasks
from debias.sweeps.launchers.worker import attempt
from debias.sweeps.plan import plan
from debias.sweeps.progress import Progress
from tests.sweeps import trainings


@pytest.fixture
def runs(sweep):
    return plan(sweep("configs: [drawn_birds]\nseeds: [0, 1, 2]")).runs


class Nodes:
    """As much of the package as decides about room."""

    def __init__(self, *resources: dict[str, float], dead: dict[str, float]) -> None:
        alive = [{"Alive": True, "Resources": each} for each in resources]
        self.nodes = lambda: [*alive, {"Alive": False, "Resources": dead}]
        self.remote = lambda **options: lambda function: SimpleNamespace(remote=lambda *_: object())


@pytest.mark.parametrize(
    ("options", "room"),
    [
        ({}, 7),
        ({"cpus_per_run": 2}, 3),
        ({"cpus_per_run": 2, "gpus_per_run": 1}, 1),
        ({"parallel": 2}, 2),
    ],
)
def test_runs_that_fit_on_the_nodes(runs, options, room):
    """Nodes of 4 and 3 CPUs, the second with one GPU; a dead node does not count."""
    nodes = Nodes({"CPU": 4.0, "memory": 1e9}, {"CPU": 3.0, "GPU": 1.0}, dead={"CPU": 64.0})
    tasks = Tasks(nodes, Ray(**options), trainings.quick)
    started = 0
    while tasks.room():
        tasks.start(runs[0])
        started += 1
    assert started == tasks.active == room


def test_no_node_is_large_enough(runs):
    tasks = Tasks(Nodes({"CPU": 4.0}, dead={"CPU": 64.0}), Ray(cpus_per_run=8), trainings.quick)
    with pytest.raises(InputError, match=r"no node .* has 8 CPUs and 0 GPUs for a run: lower"):
        tasks.room()


def test_a_run_has_one_process_where_srun_has_started_the_nodes(runs, monkeypatch):
    """Ray's workers inherit the variables of srun."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_PROCID", "1")
    for name in ("signal.signal", "_write_output_to", "_compute_with"):
        monkeypatch.setattr(f"debias.sweeps.launchers.worker.{name}", lambda *_: None)
    found: list[Launched] = []
    attempt(runs[0], lambda *_, resume: found.append(launched()), 1, 0)
    assert found == [Launched("debias", 0)]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1", "ray://127.0.0.1:1"])
def test_an_address_where_nothing_answers(runs, monkeypatch, address):
    """Ray itself is not asked, because it would try for minutes."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    with pytest.raises(InputError, match=r"no Ray cluster answers \(.+\): start one with"):
        Ray(address=address)(runs, trainings.quick, Progress(runs))
