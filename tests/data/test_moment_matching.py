"""M4: weights by hand, the conditions of an optimum, and what the sampler draws of two biases."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.data.moment_matching import MatchedMoments, matched_moments, moment_matched
from debias.types import Attribute, Groups

#: Samples of (class, attribute) 00, 01, 10, 11, and one of each.
COUNTS = torch.tensor([40, 10, 10, 40])
CLASS, VALUE = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]]).repeat_interleave(COUNTS, dim=1)
EACH = [0, 40, 50, 60]


def two_by_two(**settings: float) -> MatchedMoments:
    return matched_moments(VALUE[:, None], F.one_hot(CLASS), torch.tensor([0.5]), **settings)


def test_both_classes_get_the_same_rate():
    """The majority has 40 w = 25 of 100, so w = 5/8; the minority 10 w = 25, so w = 5/2."""
    weights = two_by_two().weights
    assert weights[EACH].tolist() == pytest.approx([0.625, 2.5, 2.5, 0.625])
    assert weights[VALUE == 1].sum().item() == pytest.approx(50)


def test_the_largest_mean_that_can_be_reached():
    """With weights of at most 1, each of four cells has at most 10 of 100: a mean of 0.4. At a mean
    of 0.5, the majority makes up for it, 0.8 w + 0.2 = 0.5, and (40 * 0.375 - 10) / 2 = 2.5 of 100
    remain, at the full price.
    """
    reached = two_by_two(mean=0.4, largest=1.0)
    assert reached.weights[EACH].tolist() == pytest.approx([0.25, 1, 1, 0.25])
    assert reached.moments.abs().max() < 1e-6
    missed = two_by_two(mean=0.5, largest=1.0, price=10.0)
    assert missed.weights[EACH].tolist() == pytest.approx([0.375, 1, 1, 0.375])
    assert missed.moments[:, 0].tolist() == pytest.approx([-0.025, 0.025, 0])
    assert missed.prices.max().item() == pytest.approx(10)


def test_a_tolerance_is_used_up():
    """Association 0.05: (10 w' - 40 w) / 2 = -5 of 100, and 40 w + 10 w' = 50, so w = 0.75."""
    found = two_by_two(association=0.05)
    assert found.weights[EACH].tolist() == pytest.approx([0.75, 2, 2, 0.75], abs=1e-6)
    assert found.moments[:2, 0].tolist() == pytest.approx([-0.05, 0.05], abs=1e-6)


def test_what_is_balanced_already_or_has_no_price_stays():
    balanced = matched_moments(
        torch.tensor([[0], [1], [0], [1]]),
        F.one_hot(torch.tensor([0, 0, 1, 1])),
        torch.tensor([0.5]),
    )
    assert balanced.weights.tolist() == [1] * 4
    assert not balanced.prices.any()
    assert two_by_two(price=0.0, mean=0.7).weights.tolist() == pytest.approx([0.7] * 100)


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Three overlapping attributes, two of which go with the class, and their rates."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(2, (400,), generator=generator)
    chance = torch.stack([0.2 + 0.5 * target, 0.6 - 0.3 * target, 0.1 + 0 * target], dim=1)
    attributes = (torch.rand(400, 3, generator=generator) < chance).long()
    return attributes, F.one_hot(target), attributes.double().mean(dim=0)


def test_the_optimum_satisfies_its_conditions():
    """Every moment is within its bound; only a moment at its bound has a price; E[q] is the mean;
    and q - mean is the priced sum of the constraints, wherever q is not clipped.
    """
    attributes, labels, rates = drawn()
    found = matched_moments(attributes, labels, rates, association=0.01, representation=0.02)
    bound = torch.tensor([[0.01], [0.01], [0.02]])
    assert bool((found.moments.abs() <= bound + 1e-6).all())
    above, below = found.prices[:3], found.prices[3:]
    assert bool(((above > 1e-6) <= ((found.moments - bound).abs() < 1e-5)).all())
    assert bool(((below > 1e-6) <= ((found.moments + bound).abs() < 1e-5)).all())
    assert above.max() > 0.1 or below.max() > 0.1
    assert found.weights.mean().item() == pytest.approx(1)
    terms = (
        torch.cat([labels, torch.ones(400, 1)], dim=1)[:, :, None] * (attributes - rates)[:, None]
    )
    moved = found.weights + ((above - below) * terms).sum(dim=(1, 2))
    free = (found.weights > 1e-6) & (found.weights < 10 - 1e-6)
    assert moved[free].std() < 1e-6


def test_rows_in_another_order_have_their_weights_in_that_order():
    attributes, labels, rates = drawn()
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    weights = matched_moments(attributes, labels, rates).weights
    moved = matched_moments(attributes[order], labels[order], rates).weights
    assert torch.equal(moved, weights[order])


TWO = Groups.product(
    ("country", "urban"),
    (Attribute("bg", ("field", "city")), Attribute("obj", ("cow", "lamp", "sign"))),
)


def cars() -> tuple[Tensor, Tensor]:
    """Backgrounds and objects that go with the class, as rows and combined values."""
    generator = torch.Generator().manual_seed(2)
    row = torch.randint(2, (300,), generator=generator)
    same = torch.rand(300, 2, generator=generator) < 0.8
    values = torch.where(same, row[:, None], torch.randint(2, (300, 2), generator=generator))
    values[:, 1] += torch.rand(300, generator=generator) < 0.3
    return row, TWO.combine(values)


@pytest.mark.parametrize("rates", ["as_is", "uniform"])
def test_every_value_of_every_bias_has_one_rate_in_each_class(rates):
    row, bias = cars()
    weights = moment_matched(row, bias, TWO, rates=rates).weights  # type: ignore[attr-defined]
    values = TWO.decode(bias)
    held = torch.cat([F.one_hot(values[:, 0], 2), F.one_hot(values[:, 1], 3)], dim=1).double()
    goal = held.mean(dim=0) if rates == "as_is" else torch.tensor([1 / 2] * 2 + [1 / 3] * 3)
    for one in range(2):
        members = weights * (row == one)
        found = (members[:, None] * held).sum(dim=0) / members.sum()
        assert found.tolist() == pytest.approx(goal.tolist(), abs=1e-5)


def test_of_several_labels_the_present_ones_count():
    """Label 1 is never associated with the bias once weighted; its absence is not looked at."""
    groups = Groups(("not a", "a", "not b", "b"), ("0", "1"), multi_label=True)
    bias, target = VALUE, torch.stack([CLASS, 1 - CLASS], dim=1)
    weights = moment_matched(groups.row(target), bias, groups, rates="uniform").weights  # type: ignore[attr-defined]
    assert weights[EACH].tolist() == pytest.approx([0.625, 2.5, 2.5, 0.625])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rates": "even"}, r"sampler\.rates must be one of as_is, uniform; got 'even'"),
        ({"association": -0.1}, "association must be at least 0 for M4; got -0.1"),
        ({"representation": -1}, "representation must be at least 0 for M4; got -1"),
        ({"largest": 0.5}, "largest must be at least 1"),
        ({"largest": 1.5}, r"no weights of at most 1\.5 match the rate of bias=1 among a: .*-0\."),
    ],
)
def test_what_it_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        moment_matched(CLASS, VALUE, Groups(("a", "b"), ("0", "1")), **settings)


def test_unknown_values_are_refused():
    with pytest.raises(ValueError, match="1 of 100 are unknown"):
        moment_matched(
            CLASS, VALUE.index_fill(0, torch.tensor([3]), -1), Groups(("a",), ("0", "1"))
        )
    with pytest.raises(ValueError, match="mean must be positive for M4; got 0"):
        two_by_two(mean=0.0)
