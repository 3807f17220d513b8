"""Two gloo ranks equal one process on the joined batch: loss, gradient, weights, metrics."""

import pytest
import torch

from debias.losses.group_dro import GroupDROLoss
from debias.losses.group_means import group_means
from tests.fakes import GROUPS
from tests.training import two_ranks
from tests.two_ranks import found_by_both

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    """What ``two_ranks`` computed in each of two processes."""
    return found_by_both(two_ranks.on_rank, tmp_path_factory.mktemp("ranks"))


def test_group_means_are_those_of_the_joined_batch(ranks):
    means, counts = group_means(two_ranks.LOSSES, two_ranks.GROUP, 4)
    for rank in ranks:
        torch.testing.assert_close(rank["means"], means)
        torch.testing.assert_close(rank["counts"], counts)


def test_group_dro_loss_and_weights_are_those_of_one_process(ranks):
    robust = GroupDROLoss(4, step_size=0.5, adjustment=1.0, counts=torch.tensor([9, 4, 1, 1]))
    for step in range(3):
        loss = robust(two_ranks.LOSSES * (step + 1), two_ranks.GROUP)
        for rank in ranks:
            torch.testing.assert_close(rank["losses"][step], loss)
            torch.testing.assert_close(rank["weights"][step], robust.weights)


def test_averaged_gradient_is_that_of_the_joined_batch(ranks):
    """DistributedDataParallel averages over ranks, exactly although the shards' groups differ."""
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    robust = GroupDROLoss(4, step_size=0.5)
    robust((two_ranks.INPUTS @ weight).square(), two_ranks.GROUP).backward()
    average = (ranks[0]["gradient"] + ranks[1]["gradient"]) / 2
    torch.testing.assert_close(average, weight.grad, rtol=1e-9, atol=1e-12)
    naive = (ranks[0]["naive"] + ranks[1]["naive"]) / 2
    assert not torch.allclose(naive, weight.grad, rtol=1e-2)  # what local means would have given


def test_joined_predictions_are_sorted_and_single(ranks):
    for rank in ranks:
        assert rank["rows"].tolist() == list(range(7))
        assert rank["logits"].flatten().tolist() == list(range(7))


def test_two_trained_ranks_equal_one_process(ranks):
    """Two epochs of GroupDRO by DistributedDataParallel, and one process on the joined batches."""
    expected = two_ranks.trained_alone()
    for rank in ranks:
        for key, value in expected.items():
            torch.testing.assert_close(rank[f"trained/{key}"], value, rtol=1e-4, atol=1e-6)


def test_training_means_are_those_of_one_process(ranks):
    """Of ERM's loss, which each process has of its own half, and of GroupDRO's loss and weights,
    which all share.
    """
    expected = two_ranks.epoch_means(slice(0, 16))
    assert {f"means/GroupDRO/group_weight/{name}" for name in GROUPS.names} < expected.keys()
    assert "means/ERM/loss" in expected
    for rank in ranks:
        for key, value in expected.items():
            torch.testing.assert_close(rank[key], value, rtol=1e-5, atol=1e-6)


def test_both_ranks_end_at_the_first_loss_that_either_finds_broken(ranks):
    assert [rank["broken"].item() for rank in ranks] == [3, 3]
