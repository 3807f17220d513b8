"""The error set of an earlier model."""

from __future__ import annotations

import pytest
import torch

from debias.group_inference import error_set


def test_errors_by_hand():
    """Row 0 says class 1 and is 1; row 1 says 0 and is 2; row 2 ties: the first class counts."""
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert error_set(logits, torch.tensor([1, 2, 0])).tolist() == [False, True, False]


def test_several_labels_have_no_error_set():
    with pytest.raises(ValueError, match="one class per sample"):
        error_set(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long))
