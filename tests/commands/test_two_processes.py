"""``debias train devices=2`` does what one process with twice the batch does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.commands.train import train
from debias.reports.predictions import read
from tests.commands.conftest import GROUP_DRO, overrides

#: No batch normalisation, whose statistics are each process's own.
MODEL = (
    *GROUP_DRO,
    "model.name=test_convnext",
    "optimizer.name=sgd",
    "optimizer.lr=0.01",
    "epochs=2",
    "accelerator=cpu",
)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(), ("data.train=79", "data.val=41", "data.test=43")])
def test_two_processes_equal_one_with_twice_the_batch(sizes, tmp_path):
    """Also where a split has an odd number of rows: none is seen twice."""
    options = (*MODEL, *sizes)
    config = configs.load("drawn_birds", overrides(tmp_path, *options, "batch_size=16"))
    one = train(config)
    arguments = overrides(tmp_path, *options, "batch_size=8", "devices=2")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "debias", "train", "drawn_birds", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
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
