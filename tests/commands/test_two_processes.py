"""``debias train devices=2`` does what one process with twice the batch does."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.commands.train import train
from debias.reports.predictions import read
from tests.commands.conftest import GROUP_DRO, overrides
from tests.forked import Command

#: No batch normalisation, whose statistics are each process's own.
MODEL = (
    *GROUP_DRO,
    "model.name=test_convnext",
    "optimizer.name=sgd",
    "optimizer.lr=0.01",
    "epochs=2",
    "accelerator=cpu",
)


def command(start: Callable[..., Command], *arguments: str) -> None:
    """``debias train`` as a user gives it, which starts the second process itself."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    full = [sys.executable, "-m", "debias", *arguments]
    done = subprocess.run(full, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert [done.stderr.count(line) for line in ("run: ", "epoch 0 (1/2)")] == [1, 1]


def processes(start: Callable[..., Command], *arguments: str) -> None:
    """Both processes as the command starts the second, but forked."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    facts = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    facts |= {"WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [start(*arguments, **facts, LOCAL_RANK=str(rank)) for rank in range(2)]
    ends = [rank.ended() for rank in ranks]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert ["epoch 0 (1/2)" in errors for _, _, errors in ends] == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launch", "sizes"),
    [(command, ()), (processes, ("data.train=79", "data.val=41", "data.test=43"))],
)
def test_two_processes_equal_one_with_twice_the_batch(launch, sizes, start, tmp_path):
    """Also where a split has an odd number of rows: none is seen twice."""
    options = (*MODEL, *sizes)
    config = configs.load("drawn_birds", overrides(tmp_path, *options, "batch_size=16"))
    one = train(config)
    arguments = overrides(tmp_path, *options, "batch_size=8", "devices=2")
    launch(start, "train", "drawn_birds", *arguments)
    two = next(path for path in (tmp_path / "runs").glob("drawn_birds-*") if path != one)

    def state(run: Path) -> dict[str, torch.Tensor]:
        return dict(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])

    for key, value in state(one).items():
        torch.testing.assert_close(state(two)[key], value, rtol=1e-3, atol=1e-5)
    expected, found = (json.loads((run / "report.json").read_text()) for run in (one, two))
    assert found["metrics"]["test"]["groups"] == expected["metrics"]["test"]["groups"]
    assert [entry["val"] for entry in found["history"]] == [
        entry["val"] for entry in expected["history"]
    ]
    for split in ("train", "val", "test"):
        rows = read(two / "predictions" / f"{split}.csv")
        assert torch.equal(rows.index, read(one / "predictions" / f"{split}.csv").index)
    assert not list(two.rglob("*.tmp"))
