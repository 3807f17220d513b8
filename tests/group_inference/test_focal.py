"""Focal weights against hand-derived values and a definition in float64."""

import math

import pytest
import torch

from debias.group_inference.focal import focal_weights
from tests.properties import assert_pure

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(40, 3, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.randint(3, (40,), generator=GENERATOR)


def naive(logits, target, gamma):
    """The definition, sample by sample."""
    weights = []
    for row, label in zip(logits.tolist(), target.tolist(), strict=True):
        chosen = math.exp(row[label]) / sum(math.exp(value) for value in row)
        weights.append(math.exp(-gamma * chosen) / target.tolist().count(label))
    return [weight * len(weights) / sum(weights) for weight in weights]


def test_hand_derived_value():
    """p = 3/4 and 1/4 of one class, gamma = 2 log 3: exp(-gamma p) = 3^-1.5 and 3^-0.5, so 1 : 3,
    with mean one.
    """
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)]])
    weights = focal_weights(logits, torch.tensor([0, 0]), gamma=2 * math.log(3))
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5]))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 10.0, 20.0])
def test_equals_the_definition(gamma):
    assert focal_weights(LOGITS, TARGET, gamma=gamma).tolist() == pytest.approx(
        naive(LOGITS, TARGET, gamma)
    )


def test_many_gammas_are_rows():
    gamma = torch.tensor([0.0, 4.0, 20.0], dtype=torch.float64)
    rows = focal_weights(LOGITS, TARGET, gamma=gamma)
    assert rows.shape == (3, 40)
    for row, value in zip(rows, gamma.tolist(), strict=True):
        torch.testing.assert_close(row, focal_weights(LOGITS, TARGET, gamma=value))


def test_without_gamma_every_class_weighs_the_same():
    weights = focal_weights(LOGITS, TARGET, gamma=0.0)
    totals = torch.zeros(3, dtype=torch.float64).index_add(0, TARGET, weights)
    torch.testing.assert_close(totals, torch.full((3,), 40 / 3, dtype=torch.float64))


def test_the_mean_is_one_even_where_exponentials_underflow():
    """exp(-1000 p) is 0 in float32 for every sample of this set; its weights are not."""
    logits = torch.tensor([[4.0, 0.0], [4.1, 0.0]])
    weights = focal_weights(logits, torch.tensor([0, 0]), gamma=1000.0)
    assert weights.mean().item() == pytest.approx(1.0)
    assert weights[0] > weights[1] > 0


def test_properties():
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    permuted = focal_weights(LOGITS[order], TARGET[order], gamma=5.0)
    torch.testing.assert_close(permuted, focal_weights(LOGITS, TARGET, gamma=5.0)[order])
    assert_pure(lambda logits, target: focal_weights(logits, target, gamma=5.0), LOGITS, TARGET)
    assert focal_weights(LOGITS.bfloat16(), TARGET, gamma=5.0).dtype == torch.float32


@pytest.mark.parametrize(
    ("target", "gamma", "message"),
    [
        (TARGET, -1.0, "gamma must be at least 0"),
        (TARGET[:, None], 1.0, r"\(40, 1\)"),
        (TARGET[:3], 1.0, r"\(3,\)"),
    ],
)
def test_refuses(target, gamma, message):
    with pytest.raises(ValueError, match=message):
        focal_weights(LOGITS, target, gamma=gamma)
