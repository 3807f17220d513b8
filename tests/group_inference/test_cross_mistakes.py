"""Mistakes of either twin."""

from __future__ import annotations

import pytest
import torch

from debias.group_inference import cross_mistakes


def test_truth_table():
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


def test_several_labels_are_refused():
    with pytest.raises(ValueError, match="one class per sample"):
        cross_mistakes(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long))
