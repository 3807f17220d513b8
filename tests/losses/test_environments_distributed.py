"""What two gloo ranks compute over environments is that of the joined batch, also in gradient."""

import pytest
import torch

from tests.losses import two_environment_ranks as two
from tests.two_ranks import found_by_both

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    """What ``two_environment_ranks`` computed in each of two processes."""
    return found_by_both(two.on_rank, tmp_path_factory.mktemp("ranks"))


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
