"""The soft counts of uLA, by hand."""

import math

import pytest
import torch

from debias.group_inference.proxies import soft_counts

#: Probabilities 3/4 and 1/4 of the classes, then 1/5 and 4/5, then 1/2 each.
LOGITS = torch.tensor([[math.log(3), 0.0], [0.0, math.log(4)], [1.0, 1.0]])


def test_by_hand():
    found = soft_counts(LOGITS, torch.tensor([0, 0, 1]))
    assert found.flatten().tolist() == pytest.approx([0.95, 1.05, 0.5, 0.5])


def test_a_low_temperature_counts_predictions_and_a_high_one_forgets_them():
    target = torch.tensor([1, 0, 0])
    cold = soft_counts(LOGITS, target, temperature=1e-3)
    assert cold.flatten().tolist() == pytest.approx([0.5, 1.5, 1.0, 0.0])
    hot = soft_counts(LOGITS, target, temperature=1e6)
    assert hot.flatten().tolist() == pytest.approx([1.0, 1.0, 0.5, 0.5], rel=1e-5)


def test_refuses():
    with pytest.raises(ValueError, match="temperature must"):
        soft_counts(LOGITS, torch.tensor([0, 0, 1]), temperature=0)
