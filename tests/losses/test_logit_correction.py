"""The table of priors by hand, and the partners of Group MixUp by their definition."""

import pytest
import torch

from debias.losses.logit_correction import ConfidenceTable, group_partners

PROBABILITIES = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9]])
TARGET = torch.tensor([0, 0, 1, 1])


def test_the_first_batch_by_hand():
    """D_00 = (0.8 + 0.6) / 2, D_10 = 0.3, D_11 = 0.9, and no sample of class 0 is predicted 1."""
    table = ConfidenceTable(2)
    prior = table(PROBABILITIES, TARGET)
    torch.testing.assert_close(table.values, torch.tensor([[0.7, 0.0], [0.3, 0.9]]))
    expected = torch.tensor([[0.7, 0.3]] * 3 + [[0.0, 1.0]])
    torch.testing.assert_close(prior, expected)


def test_later_batches_move_the_cells_that_they_have():
    """D_10 becomes 0.75 * 0.3 + 0.25 * 0.5 = 0.35; the others stay, and D_01 is set to 0.4."""
    table = ConfidenceTable(2, momentum=0.75)
    table(PROBABILITIES, TARGET)
    later = torch.tensor([[0.5, 0.5], [0.4, 0.6]])
    prior = table(later, torch.tensor([1, 0]))
    torch.testing.assert_close(table.values, torch.tensor([[0.7, 0.4], [0.35, 0.9]]))
    torch.testing.assert_close(
        prior,
        torch.tensor([[0.7, 0.35], [0.4, 0.9]]).div(1.05).mul(torch.tensor([[1.0], [1.05 / 1.3]])),
    )
    before = table.values.clone()
    table.eval()(PROBABILITIES, TARGET)
    assert torch.equal(table.values, before)


def test_the_order_of_a_batch_does_not_matter_and_the_state_is_saved():
    first, second = ConfidenceTable(2), ConfidenceTable(2)
    order = torch.tensor([3, 1, 0, 2])
    found = first(PROBABILITIES, TARGET)[order]
    torch.testing.assert_close(second(PROBABILITIES[order], TARGET[order]), found)
    third = ConfidenceTable(2)
    third.load_state_dict(first.state_dict())
    torch.testing.assert_close(third(PROBABILITIES, TARGET), first(PROBABILITIES, TARGET))


def test_partners_are_of_the_class_and_wrong_where_one_is():
    """Class 0: rows 0, 1, 2, of which 1 and 2 are wrong; class 1: rows 3 and 4, none wrong."""
    target, predicted = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 1, 1, 1, 1])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([group_partners(target, predicted, generator) for _ in range(200)])
    found = [set(column.tolist()) for column in drawn.T]
    assert found == [{1, 2}, {1, 2}, {1, 2}, {3, 4}, {3, 4}]
    assert abs((drawn[:, 0] == 1).float().mean().item() - 0.5) < 4 * 0.5 / 200**0.5


def test_refuses():
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\).* got 1"):
        ConfidenceTable(2, momentum=1)
