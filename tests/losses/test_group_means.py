"""Numbers of groups: which group each sample is in, and that a number of no group is an error."""

import pytest
import torch

from debias.losses.entanglement import disentangling_loss
from debias.losses.feature_distances import CORALLoss
from debias.losses.group_means import group_means, members
from debias.losses.irm import irm_penalty

LOSSES_OF_TWO_GROUPS = {
    "group_means": lambda group: group_means(torch.ones(4), group, 2),
    "irm": lambda group: irm_penalty(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]), group, 2),
    "coral": lambda group: CORALLoss()(
        torch.zeros(4, 3), group, torch.ones(2, 2, dtype=torch.bool)
    ),
    "end": lambda group: disentangling_loss(torch.eye(4), group, biases=2),
}


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_members_by_hand(dtype):
    found = members(torch.tensor([2, -1, 0], dtype=dtype), 3)
    assert found.dtype == torch.bool
    assert found.tolist() == [[False, False, True], [False] * 3, [True, False, False]]


@pytest.mark.parametrize("number", [-100, -2, 2])
@pytest.mark.parametrize("name", LOSSES_OF_TWO_GROUPS)
def test_a_number_of_no_group_is_an_error(name, number):
    """Such as groups that are counted from 1, or the -100 that PyTorch ignores as a target."""
    LOSSES_OF_TWO_GROUPS[name](torch.tensor([0, 1, -1, 1]))
    with pytest.raises((IndexError, RuntimeError)):
        LOSSES_OF_TWO_GROUPS[name](torch.tensor([0, 1, -1, number]))
