"""HSIC in two gloo ranks is that of the joined batch, also in gradient; so is ReBias."""

import pytest
import torch

from debias.losses.hsic import HSIC, median_distance
from tests.losses import two_hsic_ranks as two
from tests.two_ranks import found_by_both

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    """What ``two_hsic_ranks`` computed in each of two processes."""
    return found_by_both(two.on_rank, tmp_path_factory.mktemp("ranks"))


def test_rows_are_those_of_all_ranks_to_the_last_bit(ranks):
    weight = torch.ones(3, 2, dtype=torch.float64)
    for rank in ranks:
        assert torch.equal(
            rank["rows"], torch.cat([two.INPUTS[shard] @ weight for shard in two.SHARDS])
        )
        torch.testing.assert_close(rank["sigma"], median_distance(two.INPUTS @ weight))


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_hsic_and_averaged_gradient_are_those_of_the_joined_batch(ranks, kernel):
    weight = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    hsic = HSIC(kernel=kernel)(two.INPUTS @ weight, two.OTHERS)
    hsic.backward()
    for rank in ranks:
        torch.testing.assert_close(rank[f"{kernel}/hsic"], hsic, rtol=1e-10, atol=0)
    average = (ranks[0][f"{kernel}/gradient"] + ranks[1][f"{kernel}/gradient"]) / 2
    torch.testing.assert_close(average, weight.grad, rtol=1e-9, atol=1e-14)
    assert not torch.allclose(ranks[0][f"{kernel}/gradient"], weight.grad, rtol=1e-2)


def test_two_trained_ranks_equal_one_process(ranks):
    """Three steps of both players by DistributedDataParallel, and one process on both batches."""
    expected = two.trained(slice(0, 16), wrapped=False)
    assert set(expected) == {
        key.removeprefix("trained/") for key in ranks[0] if key.startswith("trained/")
    }
    for rank in ranks:
        for key, value in expected.items():
            torch.testing.assert_close(rank[f"trained/{key}"], value, rtol=1e-4, atol=1e-6)
