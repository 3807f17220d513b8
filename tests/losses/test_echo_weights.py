"""Weights of Echoes: ratios, totals, and classes that keep their weights."""

import pytest
import torch

from debias.losses.echo_weights import decayed_weights, inverse_weights

TARGET = torch.tensor([0, 0, 0, 0, 1, 1, 1])


def test_a_sample_wrong_k_times_has_a_ratio_of_two_to_the_k():
    """Sample 0 is wrong three times, sample 1 once, of class 0 with at most 2 errors of 4."""
    weights = torch.ones(7)
    for wrong in ([0, 1], [0], [0]):
        chosen = torch.isin(torch.arange(7), torch.tensor(wrong))
        weights = decayed_weights(weights, chosen, TARGET, classes=2, threshold=0.6)
    assert weights.tolist() == [1 / 8, 1 / 2, 1, 1, 1, 1, 1]
    found = inverse_weights(weights, TARGET, classes=2)
    torch.testing.assert_close(found[:4] / found[3], torch.tensor([8.0, 2.0, 1.0, 1.0]))
    assert found[:4].sum().item() == pytest.approx(found[4:].sum().item())
    assert found.max() == 1


def test_a_class_with_many_errors_keeps_its_weights():
    """Class 0 has 2 errors of 4, which is not below a half; class 1 has 1 of 3."""
    wrong = torch.tensor([True, True, False, False, True, False, False])
    found = decayed_weights(torch.ones(7), wrong, TARGET, classes=2, decay=0.25)
    assert found.tolist() == [1, 1, 1, 1, 0.25, 1, 1]


def test_all_wrong_once_restores_the_scale():
    weights = torch.tensor([0.5, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5])
    found = decayed_weights(weights, torch.zeros(7).bool(), TARGET, classes=2)
    assert found.tolist() == [1, 0.5, 1, 1, 1, 1, 1]


def test_a_decay_of_one_is_class_balance():
    wrong = torch.ones(7).bool()
    weights = decayed_weights(torch.ones(7), wrong, TARGET, classes=2, decay=1.0, threshold=1.0)
    found = inverse_weights(weights, TARGET, classes=2)
    torch.testing.assert_close(found, torch.tensor([0.75] * 4 + [1.0] * 3))


def test_many_classes_do_not_overflow():
    target = torch.arange(400) % 200
    assert inverse_weights(torch.full((400,), 1e-6), target, classes=200).eq(1).all()
