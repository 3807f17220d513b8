"""FairBatch: shares that follow losses, and batches in these shares."""

import pytest
import torch

from debias.data.fair_batches import FairBatches, fair_batch
from debias.data.orders import seeded_generator
from debias.types import Groups, Observed
from tests.data.small_pictures import GROUPS

#: Counts 60, 20, 10 and 10.
GROUP = torch.tensor([0] * 60 + [1] * 20 + [2] * 10 + [3] * 10)


def order_of(batch_size: int = 20, **options: float) -> FairBatches:
    order = fair_batch(GROUP, GROUPS, batch_size, **options)
    assert isinstance(order, FairBatches)
    return order


def losses(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(2, 2)


def test_the_first_batches_have_the_shares_of_the_data():
    order = order_of()
    assert order.state.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert order.sizes().tolist() == [12, 4, 2, 2]
    drawn = order.draw(seeded_generator(0)).view(5, 20)
    for batch in drawn:
        assert torch.bincount(GROUP[batch]).tolist() == [12, 4, 2, 2]
    assert sorted(drawn.flatten().tolist()) == list(range(100))


def test_a_share_after_k_epochs_is_the_start_and_k_steps_at_most_one():
    order = order_of(step=0.125)
    for k in range(1, 6):
        order.adjust(losses(1, 2, 1, 1.5))  # class 0 has the larger gap
        assert order.state[0].tolist() == [max(0, 0.75 - k / 8), min(1, 0.25 + k / 8)]
    assert order.state[1].tolist() == [0.5, 0.5]
    order.adjust(losses(1, 1.25, 3, 2))
    assert order.state[1].tolist() == [0.625, 0.375]


def test_equal_losses_and_empty_groups_move_nothing():
    order = order_of()
    before = order.state.clone()
    order.adjust(losses(2, 2, 1, 1))
    order.adjust(losses(2, torch.nan, torch.nan, 1))
    assert torch.equal(order.state, before)


def test_a_class_without_samples_has_no_share():
    order = fair_batch(torch.tensor([0, 1, 4, 5]), Groups(("a", "b", "c"), ("x", "y")), 4)
    assert isinstance(order, FairBatches)
    assert order.sizes().tolist() == [1, 1, 0, 0, 1, 1]
    order.adjust(torch.tensor([[1.0, 1.0], [torch.nan, torch.nan], [1.0, 2.0]]))
    assert order.state[1:].flatten().tolist() == pytest.approx([0, 0, 0.495, 0.505])


def test_several_values_move_the_best_and_the_worst():
    group = torch.tensor([0, 1, 2] * 4 + [3, 4, 5] * 4)
    order = fair_batch(group, Groups(("a", "b"), ("x", "y", "z")), 6, step=0.1)
    assert isinstance(order, FairBatches)
    order.adjust(torch.tensor([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]]))
    assert order.state[0].tolist() == pytest.approx([1 / 3 - 0.1, 1 / 3, 1 / 3 + 0.1])


@pytest.mark.parametrize("batch_size", [7, 16, 33, 100, 500])
def test_a_batch_has_its_size_and_a_rare_group_repeats_only_when_used_up(batch_size):
    order = order_of(batch_size, step=0.4)
    order.adjust(losses(1, 1, 3, 2))  # group 2 has 90 per cent of class 1
    size = min(batch_size, 100)
    assert int(order.sizes().sum()) == size
    drawn = order.draw(seeded_generator(1))
    assert len(drawn) == len(order) == 100 // size * size
    visits = torch.bincount(drawn, minlength=100)[GROUP == 2]
    assert int(visits.max() - visits.min()) <= 1


def test_observed_losses_are_averaged_by_group():
    """Mean losses of 1, 2, 3 and 5: class 1 has the larger gap."""
    order = order_of(step=0.1)
    values = torch.tensor([1.0, 2.0, 3.0, 5.0])[GROUP] + torch.tensor([0.25, -0.25] * 50)
    order.observe(Observed(torch.arange(100), GROUP // 2, GROUP % 2, values))
    assert order.state[1].tolist() == pytest.approx([0.4, 0.6])


def test_refuses():
    with pytest.raises(ValueError, match=r"sampler\.step must be positive; got .*0"):
        order_of(step=0.0)
    with pytest.raises(ValueError, match="1 of 2 are unknown"):
        fair_batch(torch.tensor([0, -1]), GROUPS, 2)
