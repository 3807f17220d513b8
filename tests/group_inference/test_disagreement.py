"""Disagreement and misclassification against definitions in float64."""

import math

import pytest
import torch

from debias.group_inference.disagreement import largest_disagreement, largest_losses

GENERATOR = torch.Generator().manual_seed(0)
EARLY = torch.randn(30, 3, generator=GENERATOR)
FINAL = 2 * torch.randn(30, 3, generator=GENERATOR)
TARGET = torch.randint(3, (30,), generator=GENERATOR)


def probabilities(row):
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def test_disagreement_is_ordered_by_the_divergence_of_the_early_from_the_final_model():
    divergences = [
        sum(
            p * math.log(p / q)
            for p, q in zip(probabilities(early), probabilities(final), strict=True)
        )
        for early, final in zip(EARLY.tolist(), FINAL.tolist(), strict=True)
    ]
    expected = sorted(range(30), key=lambda sample: -divergences[sample])
    assert largest_disagreement(EARLY, FINAL, count=30).tolist() == expected
    assert largest_disagreement(EARLY, FINAL, count=7).tolist() == expected[:7]


def test_the_direction_of_the_divergence_matters():
    """p = (1/2, 1/2). Sample 0: q = (0.999, 0.001), KL(p||q) = 2.76, KL(q||p) = 0.69. Sample 1 the
    other way round: KL(p||q) = 0.69. The early model comes first, so sample 0 disagrees most;
    exchanged, sample 1."""
    flat, sharp = [0.0, 0.0], [math.log(999.0), 0.0]
    early, final = torch.tensor([flat, sharp]), torch.tensor([sharp, flat])
    assert largest_disagreement(early, final, count=1).tolist() == [0]
    assert largest_disagreement(final, early, count=1).tolist() == [1]


def test_a_probability_of_zero_is_no_nan():
    """Sample 1: e^-1000 underflows; its divergence, 500 - log 2, is finite and the greater."""
    early, final = torch.zeros(2, 2), torch.tensor([[100.0, 0.0], [1000.0, 0.0]])
    assert largest_disagreement(early, final, count=2).tolist() == [1, 0]


def test_losses_are_ordered_by_cross_entropy():
    losses = [
        -math.log(probabilities(row)[label])
        for row, label in zip(FINAL.tolist(), TARGET.tolist(), strict=True)
    ]
    expected = sorted(range(30), key=lambda sample: -losses[sample])
    assert largest_losses(FINAL, TARGET, count=9).tolist() == expected[:9]


@pytest.mark.parametrize("count", [0, 31])
def test_refuses(count):
    with pytest.raises(ValueError, match=f"count={count} .* 1 to 30"):
        largest_disagreement(EARLY, FINAL, count=count)
    with pytest.raises(ValueError, match=f"count={count} .* 1 to 30"):
        largest_losses(FINAL, TARGET, count=count)
