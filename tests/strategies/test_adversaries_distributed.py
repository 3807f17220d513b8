"""Two gloo processes train strategies with an adversary, or with quantities over pairs and groups,
as one does.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.strategies import adversaries_two_ranks, joined_two_ranks
from tests.strategies.adversaries_two_ranks import both, train

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", [adversaries_two_ranks, joined_two_ranks], ids=lambda module: module.__name__
)
def test_two_ranks_equal_one_process(module, tmp_path):
    """The known biases of a batch are unevenly spread, so the mean of the two means would not be
    that of the batch.
    """
    command = [sys.executable, "-m", module.__name__, str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([*command, str(rank)], env=environment, cwd=ROOT) for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    for name, together in both(module.STRATEGIES).items():
        alone = train(together, slice(0, 16))
        for key, value in alone.items():
            torch.testing.assert_close(
                ranks[0][name][key], value, rtol=1e-4, atol=1e-6, msg=f"{name} {key}"
            )
            assert torch.equal(ranks[0][name][key], ranks[1][name][key])
