"""Two gloo processes train two networks as one does, and remember the same of samples."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.strategies.networks_two_ranks import STRATEGIES, train


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path):
    command = [sys.executable, "-m", "tests.strategies.networks_two_ranks", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen([*command, str(rank)], env=environment, cwd=root) for rank in range(2)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    for name, make in STRATEGIES.items():
        for key, value in train(make, slice(0, 16), wrapped=False).items():
            torch.testing.assert_close(
                ranks[0][name][key], value, rtol=1e-4, atol=1e-5, msg=f"{name} {key}"
            )
            assert torch.equal(ranks[0][name][key], ranks[1][name][key])
