"""The error set of an earlier model."""

import pytest
import torch

from debias.group_inference.errors import cross_mistakes, error_set


def test_errors_by_hand():
    """Row 0 says class 1 and is 1; row 1 says 0 and is 2; row 2 ties: the first class counts."""
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert error_set(logits, torch.tensor([1, 2, 0])).tolist() == [False, True, False]


def test_several_labels_have_no_error_set():
    with pytest.raises(ValueError, match="one class per sample"):
        error_set(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long))


def test_twins_that_are_right_or_wrong():
    """Both right, the first wrong, the second wrong, both wrong."""
    right, wrong = [2.0, 0.0], [0.0, 2.0]
    first = torch.tensor([right, wrong, right, wrong])
    second = torch.tensor([right, right, wrong, wrong])
    assert cross_mistakes(first, second, torch.zeros(4, dtype=torch.long)).tolist() == [
        False,
        True,
        True,
        True,
    ]


def test_several_labels_have_no_cross_mistakes():
    with pytest.raises(ValueError, match="one class per sample"):
        cross_mistakes(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long))
