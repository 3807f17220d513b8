"""What a process reads of its launcher, and what disagrees with the config."""

import re

import pytest
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from debias.launched import (
    Launched,
    check_launched,
    forget_launcher,
    is_helper_process,
    launched,
)
from debias.training.cluster import cluster

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "2", "LOCAL_RANK": "0", "GROUP_RANK": "1"}
TORCHRUN |= {"WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "2"}
SRUN |= {"SLURM_LOCALID": "0", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2"}
#: A batch job of Slurm for two tasks, in which no srun is called.
BATCH = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "a"}


@pytest.fixture
def told(monkeypatch):
    """Sets the variables of a launcher."""

    def tell(facts: dict[str, str]) -> None:
        for name, value in facts.items():
            monkeypatch.setenv(name, value)

    return tell


@pytest.mark.parametrize(
    ("facts", "expected", "environment"),
    [
        ({}, Launched("debias", 0), LightningEnvironment),
        ({"LOCAL_RANK": "1"}, Launched("debias", 1), LightningEnvironment),
        (BATCH, Launched("debias", 0), LightningEnvironment),
        (TORCHRUN, Launched("torchrun", 2, 2, 4), TorchElasticEnvironment),
        (SRUN, Launched("srun", 2, 2, 4), SLURMEnvironment),
        # srun starts torchrun once per machine
        (SRUN | {"SLURM_STEP_NUM_TASKS": "2"} | TORCHRUN, Launched("torchrun", 2, 2, 4), None),
        # a shell that srun has started
        (SRUN | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, Launched("debias", 0), None),
    ],
)
def test_the_first_process_of_all_machines_is_no_helper(facts, expected, environment, told):
    """The first process of the second machine, with local rank 0, is one."""
    told(facts)
    assert launched() == expected
    assert is_helper_process() == (expected.rank > 0)
    if environment is not None:
        assert type(cluster()) is environment


@pytest.mark.parametrize(
    ("facts", "nodes", "devices", "message"),
    [
        ({}, 2, 1, "got nodes=2 devices=1 and none: use `torchrun --nnodes=2 --nproc-per-node=1"),
        (
            TORCHRUN | {"RANK": "0"},
            1,
            4,
            "torchrun started 2 x 2 processes (nodes x devices); got nodes=1 devices=4: set "
            "nodes=2 devices=2, or start others",
        ),
        (
            TORCHRUN | {"RANK": "0", "WORLD_SIZE": "3"},
            2,
            2,
            "3 processes on 2 nodes: start as many",
        ),
        (SRUN | {"SLURM_PROCID": "0"}, 2, 1, "srun started 2 x 2 processes (nodes x devices); got"),
        (
            SRUN | {"SLURM_PROCID": "0", "SLURM_NTASKS_PER_NODE": "4"},
            2,
            2,
            "add --ntasks-per-node=2 to srun",
        ),
    ],
)
def test_processes_that_disagree_with_the_config_are_one_line(
    facts, nodes, devices, message, told, monkeypatch
):
    told(facts)
    with pytest.raises(ValueError, match=re.escape(message)):
        check_launched(nodes, devices)
    monkeypatch.setenv("RANK" if "RANK" in facts else "SLURM_PROCID", "1")
    if facts:  # the others end silently
        with pytest.raises(SystemExit):
            check_launched(nodes, devices)


@pytest.mark.parametrize("facts", [TORCHRUN, SRUN])
def test_processes_that_the_config_names_pass(facts, told):
    told(facts)
    check_launched(2, 2)


@pytest.mark.parametrize("facts", [TORCHRUN, SRUN, {"LOCAL_RANK": "1"}])
def test_a_process_that_forgets_its_launcher_trains_alone(facts, told):
    told(facts)
    forget_launcher()
    assert launched() == Launched("debias", 0)
    check_launched(1, 1)


def test_without_a_launcher_debias_starts_the_devices_itself():
    check_launched(1, 4)
