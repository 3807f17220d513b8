"""What two gloo ranks compute over environments is that of the joined batch, also in gradient."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.losses import two_environment_ranks as two

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    """What ``two_environment_ranks`` computed in each of two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    script = [sys.executable, "-m", "tests.losses.two_environment_ranks", str(folder)]
    processes = [
        subprocess.Popen([*script, str(rank)], cwd=Path(__file__).parents[2]) for rank in range(2)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", two.QUANTITIES)
def test_two_ranks_equal_one_process(ranks, name):
    """Both ranks have the value of the joined batch; their mean gradient is its gradient."""
    alone = two.computed(slice(0, 15))
    for rank in ranks:
        torch.testing.assert_close(
            rank[f"{name}/value"], alone[f"{name}/value"], rtol=1e-9, atol=1e-12
        )
    average = (ranks[0][f"{name}/gradient"] + ranks[1][f"{name}/gradient"]) / 2
    torch.testing.assert_close(average, alone[f"{name}/gradient"], rtol=1e-9, atol=1e-12)
    shard = two.computed(two.SHARDS[0])[f"{name}/value"]
    assert not torch.isclose(shard, alone[f"{name}/value"], rtol=1e-3)
