"""Processes of one machine or two train as one process with the joined batches."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.commands.train import train
from debias.reports.predictions import read
from tests.commands.conftest import GROUP_DRO, overrides
from tests.forked import Command

#: No batch normalisation, whose statistics are each process's own. The numbers of rows are odd, and
#: no row may be seen twice.
OPTIONS = (
    *GROUP_DRO,
    "model.name=test_convnext",
    "optimizer.name=sgd",
    "optimizer.lr=0.01",
    "epochs=2",
    "accelerator=cpu",
    "data.train=47",
    "data.val=21",
    "data.test=23",
    "measures=none",
)
#: Addresses of two machines.
NODES = ("10.77.0.1", "10.77.0.2")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Folder of the data and the runs."""
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def alone(place) -> Path:
    """Folder of the run of one process, with batches of 16."""
    return train(configs.load("drawn_birds", overrides(place, *OPTIONS, "batch_size=16")))


@pytest.fixture
def networks() -> Iterator[list[str]]:
    """Files of two network namespaces, which a pair of virtual devices connects."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the command ip")
    names = [f"debias-{os.getpid()}-{node}" for node in range(2)]
    first, second = names
    made = [["netns", "add", name] for name in names]
    made.append([*f"link add d0 netns {first} type veth peer name d1 netns {second}".split()])
    for node, (name, address) in enumerate(zip(names, NODES, strict=True)):
        made.append(["-n", name, "addr", "add", f"{address}/24", "dev", f"d{node}"])
        made += [["-n", name, "link", "set", device, "up"] for device in (f"d{node}", "lo")]
    try:
        for command in made:
            done = subprocess.run(["ip", *command], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"ip {' '.join(command)}: {done.stderr.strip()}")
        yield [f"/run/netns/{name}" for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def as_one(alone: Path, several: Path) -> None:
    """The weights, metrics and predicted rows of several processes are those of one."""

    def state(run: Path) -> dict[str, torch.Tensor]:
        last, refitted = (run / "checkpoints" / name for name in ("last.ckpt", "epoch=000.ckpt"))
        path = last if last.is_file() else refitted
        return dict(torch.load(path, weights_only=True)["state_dict"])

    for key, value in state(alone).items():
        torch.testing.assert_close(state(several)[key], value, rtol=1e-3, atol=1e-5)
    expected, found = (json.loads((run / "report.json").read_text()) for run in (alone, several))
    assert found["metrics"]["test"]["groups"] == expected["metrics"]["test"]["groups"]
    assert [entry["val"] for entry in found["history"]] == [
        entry["val"] for entry in expected["history"]
    ]
    for split in ("train", "val", "test"):
        rows = read(several / "predictions" / f"{split}.csv")
        assert torch.equal(rows.index, read(alone / "predictions" / f"{split}.csv").index)
    assert not list(several.rglob("*.tmp"))


def folder_of(place: Path, *options: str) -> tuple[list[str], Path]:
    """The overrides of a run, and its folder."""
    given = overrides(place, *OPTIONS, *options)
    return given, place / "runs" / configs.run_name(configs.load("drawn_birds", given))


def forked_pair(start: Callable[..., Command], *arguments: str) -> None:
    """Both processes of one machine as the command starts the second, but forked."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    facts = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    facts |= {"WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [start(*arguments, **facts, LOCAL_RANK=str(rank)) for rank in range(2)]
    ends = [rank.ended() for rank in ranks]
    assert [code for code, _, _ in ends] == [0, 0], ends
    said = [line for text in ends[1][1:] for line in text.splitlines()]
    assert [line for line in said if not line.startswith("[Gloo]")] == []  # of torch 2.10 itself


def told_once(ends: list[tuple[int | None, str, str]]) -> None:
    """All ended well, and only the first printed."""
    assert [code for code, _, _ in ends] == [0] * len(ends), ends
    assert ["epoch 0 (1/2)" in errors for _, _, errors in ends] == [True, *[False] * len(ends[1:])]


@pytest.mark.slow
def test_a_command_starts_the_second_process_itself(alone, place):
    given, folder = folder_of(place, "batch_size=8", "devices=2")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    full = [sys.executable, "-m", "debias", "train", "drawn_birds", *given]
    done = subprocess.run(full, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert [done.stderr.count(line) for line in ("run: ", "epoch 0 (1/2)")] == [1, 1]
    as_one(alone, folder)


@pytest.mark.slow
def test_two_machines_of_two_processes_equal_one_process(
    alone: Path, place: Path, networks: list[str], start: Callable[..., Command]
):
    """The processes of the first machine see the variables of torchrun, those of the second the
    variables of srun.
    """
    given, folder = folder_of(place, "batch_size=4", "devices=2", "nodes=2")
    common = {"MASTER_ADDR": NODES[0], "MASTER_PORT": "29500"}
    ranks = []
    for rank in range(4):
        node, local = divmod(rank, 2)
        torchrun = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2"}
        torchrun |= {"RANK": str(rank), "LOCAL_RANK": str(local), "GROUP_RANK": "0"}
        srun = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_NODES": "2"}
        srun |= {"SLURM_NTASKS_PER_NODE": "2", "SLURM_NODEID": "1"}
        srun |= {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(local)}
        facts = common | {"GLOO_SOCKET_IFNAME": f"d{node}"} | (srun if node else torchrun)
        ranks.append(start("train", "drawn_birds", *given, network=networks[node], **facts))
    told_once([rank.ended() for rank in ranks])
    as_one(alone, folder)


def two_as_one(start: Callable[..., Command], place: Path, *options: str) -> None:
    """A run of two processes, with a store of stages, is that of one process without it."""
    given = ("strategy.name=erm", "sampler.name=shuffled", "epochs=1", *options)
    one = train(configs.load("drawn_birds", overrides(place, *OPTIONS, *given, "batch_size=16")))
    pair = (*given, "batch_size=8", "devices=2", f"share={place}/shared")
    two, folder = folder_of(place, *pair)
    forked_pair(start, "train", "drawn_birds", *two)
    as_one(one, folder)


@pytest.mark.slow
def test_two_processes_train_all_stages_of_a_recipe(place: Path, start: Callable[..., Command]):
    """Every batch has an even number of images: each process takes the mean of its half."""
    stages = ("recipe.name=jtt", "recipe.upweight=2", "recipe.identification={epochs: 1}")
    two_as_one(start, place / "even", *stages, "data.train=32")


@pytest.mark.slow
def test_two_processes_fit_a_head(alone: Path, place: Path, start: Callable[..., Command]):
    """The features are those of both, and the backbone is that of a finished run."""
    head = ("recipe.name=crm", "recipe.steps=20", f"recipe.backbone={alone}")
    two_as_one(start, place, *head)
