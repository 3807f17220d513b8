"""balanced_weights: equal totals, a mean of one over the data, and its limits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from debias.losses.balanced_weights import balanced_weights

WATERBIRDS = torch.tensor([3498, 184, 56, 1057])


def test_waterbirds_by_hand():
    """4795 samples over 4 groups: each group's total weight is 4795 / 4 = 1198.75."""
    weights = balanced_weights(WATERBIRDS)
    assert weights.tolist() == pytest.approx([1198.75 / n for n in WATERBIRDS.tolist()])


def test_weights_of_shares_are_those_of_counts():
    """Their sum may round below 1."""
    shares = torch.tensor([0.75, 0.2499999])
    assert balanced_weights(shares).tolist() == pytest.approx([2 / 3, 2.0], rel=1e-6)
    assert balanced_weights(shares, power=0.0).tolist() == [1.0, 1.0]


def test_square_root_by_hand():
    """Counts 4 and 1: weights (1/2, 1) scaled so that 4 * w0 + w1 = 5, which is (5/6, 5/3)."""
    assert balanced_weights(torch.tensor([4, 1]), power=0.5).tolist() == pytest.approx(
        [5 / 6, 5 / 3]
    )


def test_effective_number_by_hand():
    """beta = 1/2: E of 1, 2 and 3 samples is 1, 3/2 and 7/4, so weights go as 1, 2/3 and 4/7,
    scaled to a sum of 6.

    1 + 2 * 2/3 + 3 * 4/7 = 85/21, and 6 / (85/21) = 126/85.
    """
    weights = balanced_weights(torch.tensor([1, 2, 3]), beta=0.5)
    assert weights.tolist() == pytest.approx([126 / 85, 84 / 85, 72 / 85])


def test_effective_number_of_waterbirds_by_definition():
    """SubpopBench's beta, in float64: the weights of two groups are as 1 / (1 - beta^n)."""
    weights = balanced_weights(WATERBIRDS, beta=0.9999)
    numbers = [1 - 0.9999**n for n in WATERBIRDS.tolist()]
    assert (weights[2] / weights[0]).item() == pytest.approx(numbers[0] / numbers[2], rel=1e-6)
    assert (weights[1] / weights[3]).item() == pytest.approx(numbers[3] / numbers[1], rel=1e-6)


@given(
    counts=st.lists(st.integers(1, 10**6), min_size=1, max_size=20),
    power=st.floats(0, 1),
    beta=st.sampled_from([0.0, 0.9, 0.9999, 0.9999999, 1.0]),
)
def test_mean_weight_over_the_data_is_one(counts, power, beta):
    counts = torch.tensor(counts)
    weights = balanced_weights(counts, power=power, beta=beta)
    assert (weights.double() * counts).sum().item() == pytest.approx(counts.sum().item(), rel=1e-5)


def test_limits():
    assert balanced_weights(WATERBIRDS, power=0.0).tolist() == [1.0] * 4
    assert balanced_weights(torch.tensor([7, 7])).tolist() == [1.0, 1.0]
    assert balanced_weights(torch.tensor([2, 0, 2])).tolist() == [1.0, 0.0, 1.0]
    assert balanced_weights(torch.tensor([2, 0, 2]), beta=0.9).tolist() == [1.0, 0.0, 1.0]
    assert balanced_weights(WATERBIRDS, beta=0.0).tolist() == [1.0] * 4
    torch.testing.assert_close(
        balanced_weights(WATERBIRDS, beta=1 - 1e-9), balanced_weights(WATERBIRDS), rtol=1e-5, atol=0
    )


def test_refuses():
    with pytest.raises(ValueError, match=r"power .* 1\.5"):
        balanced_weights(WATERBIRDS, power=1.5)
    with pytest.raises(ValueError, match=r"beta .* 1\.5"):
        balanced_weights(WATERBIRDS, beta=1.5)
    with pytest.raises(ValueError, match="no group has a training sample"):
        balanced_weights(torch.zeros(3, dtype=torch.int64))
