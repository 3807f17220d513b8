"""Subsamples with other shares: mixtures of cutting and drawing, and requested distributions."""

import pytest
import torch

from debias.data.balance import class_balanced, group_balanced
from debias.data.orders import Weighted, seeded_generator
from debias.data.subsamples import (
    class_mixture,
    class_subsample,
    cut,
    distribution_subsample,
    group_mixture,
    group_subsample,
)
from debias.types import Groups
from tests.data.small_pictures import GROUPS

#: The classes of Waterbirds, of which the smaller one keeps all 1,113 images.
WATERBIRDS = torch.tensor([0] * 3682 + [1] * 1113)
THREE = Groups(("cat", "dog"), ("day", "dusk", "night"))


def test_a_larger_limit_keeps_the_same_samples_and_more():
    label = torch.tensor([0, 1] * 20)
    few, many = (set(cut(label, torch.tensor(most), 5).tolist()) for most in ([3, 0], [7, 4]))
    assert [len(few), len(many), few < many] == [3, 11, True]
    assert all(position % 2 == 0 for position in few)
    assert set(cut(label, torch.tensor([3, 0]), 6).tolist()) != few


def test_the_mixture_of_waterbirds():
    """Ratio 2: 2 * 1,113 = 2,226 landbirds remain. An epoch has 3,339 draws, half of each class
    but for sampling noise, whose standard deviation is sqrt(3339) / 2 = 29.
    """
    order = class_mixture(WATERBIRDS, GROUPS, 0)
    kept = (order.weights > 0).nonzero()[:, 0]
    assert torch.bincount(WATERBIRDS[kept]).tolist() == [2226, 1113]
    drawn = order.draw(seeded_generator(0))
    assert len(drawn) == len(order) == 3339
    assert abs(int(WATERBIRDS[drawn].sum()) - 3339 / 2) < 4 * 29
    assert bool(torch.isin(drawn, kept).all())


@pytest.mark.parametrize("ratio", [1.0, 4.0])
def test_the_ends_of_the_mixture_are_subsampling_and_balanced_draws(ratio):
    label, seed = torch.tensor([0] * 12 + [1] * 3), 4
    order = class_mixture(label, GROUPS, seed, ratio=ratio)
    group = group_mixture(label * 3, GROUPS, seed, torch.tensor([1, 0, 0, 1]).bool(), ratio=ratio)
    drawn = order.draw(seeded_generator(1)).tolist()
    if ratio == 1:
        kept = (order.weights > 0).nonzero()[:, 0].tolist()
        assert kept == sorted(class_subsample(label, GROUPS, seed).draw(seeded_generator(0)))
    else:
        assert drawn == class_balanced(label, GROUPS).draw(seeded_generator(1)).tolist()
    assert group.draw(seeded_generator(1)).tolist() == drawn


def test_a_ratio_that_is_not_whole_is_rounded_up():
    """The reference adds images while a class has fewer than ratio times the smallest: 4 < 4.5."""
    order = class_mixture(torch.tensor([0] * 9 + [1] * 3), GROUPS, 0, ratio=1.5)
    assert len(order) == 5 + 3


def kept_of(row: list[int], bias: list[int], **options: object) -> list[list[int]]:
    """Number of kept samples of each class and bias value."""
    row_, bias_ = torch.tensor(row), torch.tensor(bias)
    order = distribution_subsample(row_, bias_, THREE, 0, **options)
    drawn = order.draw(seeded_generator(0))
    assert len(drawn) == len(order)
    counts = torch.bincount(row_[drawn] * 3 + bias_[drawn], minlength=6).view(2, 3)
    repeats = options.get("repeats", 1)
    assert len(set(drawn.tolist())) * repeats == len(drawn)
    return (counts // repeats).tolist()


@pytest.mark.parametrize(
    ("shares", "cats", "dogs"),
    [
        (None, [20, 20, 20], [5, 5, 5]),
        ([0.5, 0.25, 0.25], [40, 20, 20], [5, 2, 2]),  # dogs: 5 / 0.5 = 10, of which floors
        ([0.75, 0.25, 0.0], [60, 20, 0], [5, 1, 0]),
        ([0.6, 0.2, 0.2], [60, 20, 20], [5, 1, 1]),  # cats are in proportion already
    ],
)
def test_a_requested_distribution_within_each_class(shares, cats, dogs):
    """60, 20 and 20 cats, and 5, 10 and 15 dogs."""
    row = [0] * 100 + [1] * 30
    bias = [0] * 60 + [1] * 20 + [2] * 20 + [0] * 5 + [1] * 10 + [2] * 15
    assert kept_of(row, bias, shares=shares) == [cats, dogs]
    assert kept_of(row, bias, shares=shares, repeats=2) == [cats, dogs]


def test_a_requested_distribution_of_the_whole_split():
    """Values of 65, 30 and 35: N = min(65/0.5, 30/0.25, 35/0.25) = 120."""
    row = [0] * 100 + [1] * 30
    bias = [0] * 60 + [1] * 20 + [2] * 20 + [0] * 5 + [1] * 10 + [2] * 15
    counts = kept_of(row, bias, shares=[0.5, 0.25, 0.25], within="all")
    assert torch.tensor(counts).sum(dim=0).tolist() == [60, 30, 30]


def test_equal_shares_of_two_values_in_equal_classes_are_the_group_subsample():
    row, bias = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), torch.tensor([0, 0, 0, 1, 0, 1, 1, 1])
    order = distribution_subsample(row, bias, GROUPS, 3)
    group = group_subsample(2 * row + bias, GROUPS, 3)
    assert order.draw(seeded_generator(2)).tolist() == group.draw(seeded_generator(2)).tolist()


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_powers_of_balanced_draws(power):
    """Classes of 4 and 100 have the shares 4^(1-p) and 100^(1-p): for p = 1/2, 2 to 10."""
    label = torch.tensor([0] * 4 + [1] * 100)
    occurring = torch.tensor([1, 0, 0, 1]).bool()
    for order in (
        class_balanced(label, GROUPS, power=power),
        group_balanced(label * 3, GROUPS, occurring, power=power),
    ):
        assert isinstance(order, Weighted)
        share = order.weights[:4].sum() / order.weights.sum()
        assert share.item() == pytest.approx(
            4 ** (1 - power) / (4 ** (1 - power) + 100 ** (1 - power))
        )


SHARES = (
    r"sampler\.shares must have one share per bias value, at least 0, with sum 1; got "
    r"sampler\.shares=\[.*\] for day, dusk, night"
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": [0.5, 0.5]}, SHARES),
        ({"shares": [1.5, -0.5, 0.0]}, SHARES),
        ({"shares": [0.5, 0.2, 0.2]}, SHARES),
        ({"shares": [0.5, 0.25, 0.25]}, "class dog has no sample of bias value dusk, which has"),
        ({"within": "group"}, r"sampler\.within must be one of class, all; got 'group'"),
        ({"shares": [0.0, 0.0, 1.0], "repeats": 0}, r"repeats must be at least 1"),
    ],
)
def test_distributions_that_are_refused(options, message):
    row, bias = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 1, 2, 0, 2])
    with pytest.raises(ValueError, match=message):
        distribution_subsample(row, bias, THREE, 0, **options)


def test_labels_that_are_refused():
    known = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="1 of 2 are unknown"):
        distribution_subsample(known, torch.tensor([0, -1]), GROUPS, 0)
    with pytest.raises(ValueError, match="class dog has no training sample"):
        distribution_subsample(torch.tensor([0, 0]), known, GROUPS, 0)
    with pytest.raises(ValueError, match="class balancing needs one"):
        distribution_subsample(torch.zeros(2, 3).long(), known, GROUPS, 0)
    for mixture in (class_mixture, group_mixture):
        with pytest.raises(ValueError, match=r"sampler\.ratio must be at least 1; got .*0\.5"):
            mixture(known, GROUPS, 0, ratio=0.5)
    with pytest.raises(ValueError, match=r"sampler\.power must lie in \[0, 1\]; got 2"):
        class_balanced(known, GROUPS, power=2)


def test_an_infinite_ratio_keeps_all_and_a_share_that_is_no_number_is_refused():
    row, bias = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 0, 1])
    assert len(class_mixture(row, GROUPS, 0, ratio=torch.inf)) == 4
    with pytest.raises(ValueError, match="with sum 1; got"):
        distribution_subsample(row, bias, GROUPS, 0, shares=[torch.nan, 1.0])
