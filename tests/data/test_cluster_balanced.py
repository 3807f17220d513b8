"""The sampler of SPARE: what each sample's probability is, and what it refuses."""

import pytest
import torch

from debias.data.balance import cluster_balanced

ROW = torch.tensor([0, 0, 0, 0, 1, 1, 1])
INFERRED = torch.tensor([0, 0, 0, 1, 0, 0, 1])


def probabilities(powers: list[int]) -> list[float]:
    order = cluster_balanced(ROW, INFERRED, powers=powers)
    assert len(order) == 7
    weights = order.weights
    return (weights / weights.sum()).tolist()


def test_power_one_makes_clusters_of_a_class_equally_likely():
    """Classes have 1/2 each. Class 0: clusters of 3 and 1, 1/4 each; class 1: of 2 and 1."""
    expected = [1 / 12] * 3 + [1 / 4] + [1 / 8] * 2 + [1 / 4]
    assert probabilities([1, 1]) == pytest.approx(expected)


def test_power_two_prefers_the_small_ones():
    """Class 0: 1/9 thrice and 1 sum to 4/3, so 1/24 each and 3/8; class 1 as before."""
    expected = [1 / 24] * 3 + [3 / 8] + [1 / 8] * 2 + [1 / 4]
    assert probabilities([2, 1]) == pytest.approx(expected)


def test_draws_follow():
    order = cluster_balanced(ROW.repeat(500), INFERRED.repeat(500), powers=[1, 1])
    drawn = order.draw(torch.Generator().manual_seed(0)) % 7
    shares = torch.bincount(drawn, minlength=7) / len(drawn)
    assert shares.tolist() == pytest.approx(
        [1 / 12] * 3 + [1 / 4] + [1 / 8] * 2 + [1 / 4], abs=0.03
    )


def test_refuses():
    with pytest.raises(ValueError, match="one power per class; got 1 powers for 2 classes"):
        cluster_balanced(ROW, INFERRED, powers=[1])
    with pytest.raises(ValueError, match="one power per class; got 3 powers for 2 classes"):
        cluster_balanced(ROW, INFERRED, powers=[1, 1, 7])
    with pytest.raises(ValueError, match="infer groups for all training samples"):
        cluster_balanced(ROW, -INFERRED, powers=[1, 1])
