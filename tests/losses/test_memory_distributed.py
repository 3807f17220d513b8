"""Two gloo ranks of uneven shares remember, weigh and compare as one process does."""

import pytest
import torch

from tests.losses import two_memory_ranks as two
from tests.two_ranks import found_by, found_by_both

pytestmark = pytest.mark.slow

WHOLE = slice(0, 8)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    """What ``two_memory_ranks`` computed in each of two processes."""
    return found_by_both(two.on_rank, tmp_path_factory.mktemp("ranks"))


def test_the_memory_is_the_same_in_every_rank_and_that_of_one_process(ranks):
    """Rows that both ranks hold in one batch included: these make one step with their mean."""
    shared = [
        set(index[two.SHARDS[0]].tolist()) & set(index[two.SHARDS[1]].tolist())
        for *_, index, _ in two.steps(6, 8)
    ]
    assert any(shared)
    alone = two.weights(WHOLE)
    weights = alone.pop("weights")
    for key, value in alone.items():
        assert torch.equal(ranks[0][key], ranks[1][key])
        torch.testing.assert_close(ranks[0][key], value)
    for rank, shard in zip(ranks, two.SHARDS, strict=True):
        torch.testing.assert_close(rank["weights"], weights[:, shard])


def test_four_processes_remember_as_one(tmp_path):
    """As on two machines of two processes."""
    alone = two.weights(WHOLE)
    weights = alone.pop("weights")
    for rank, part in zip(found_by(4, two.on_four, tmp_path), two.FOURTHS, strict=True):
        torch.testing.assert_close(rank.pop("weights"), weights[:, part])
        torch.testing.assert_close(rank, alone)


@pytest.mark.parametrize("name", ["flac", "discovery"])
def test_loss_and_averaged_gradient_are_those_of_the_joined_batch(ranks, name):
    alone = two.gradients(WHOLE)
    for rank in ranks:
        torch.testing.assert_close(rank[name], alone[name], rtol=1e-9, atol=1e-12)
    average = (ranks[0][f"{name}/gradient"] + ranks[1][f"{name}/gradient"]) / 2
    torch.testing.assert_close(average, alone[f"{name}/gradient"], rtol=1e-8, atol=1e-12)
    assert not torch.allclose(ranks[0][f"{name}/gradient"], average, rtol=1e-2)


def test_both_ranks_hold_the_same_soft_group_for_the_worse(ranks):
    weighted = torch.cat([rank["weighted"] for rank in ranks])
    torch.testing.assert_close(weighted, two.gradients(WHOLE)["weighted"])
