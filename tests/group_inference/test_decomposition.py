"""DaC's pieces: places kept, a curve's elbow, low losses: by hand, by definition, their limits."""

import importlib.util
import math

import numpy as np
import pytest
import torch

from debias.group_inference.decomposition import elbows, least_losses, most_attended

needs_kneed = pytest.mark.skipif(
    importlib.util.find_spec("kneed") is None, reason="kneed is not installed"
)
TENTHS = torch.tensor([0.3, 0.4, 0.5, 0.6, 0.7, 0.8], dtype=torch.float64)


def test_kept_places_by_hand():
    """Ten places of a tenth: 0.3 leaves out the three smallest; equal ones stay together."""
    places = torch.tensor([5.0, 1, 9, 3, 7, 2, 8, 4, 10, 6]).view(1, 2, 5)
    assert most_attended(places, 0.3).flatten().tolist() == [
        value > 3 for value in places.flatten().tolist()
    ]
    assert most_attended(places, 0.0).all()
    assert most_attended(places, 0.99).flatten().nonzero().tolist() == [[8]]
    tied = torch.tensor([[[1.0, 2], [2, 2]]])
    assert most_attended(tied, 0.5).flatten().tolist() == [False, True, True, True]


def test_kept_places_by_definition():
    """As many as the quantile leaves, of those by value; a map's own bound and no other's."""
    maps = torch.rand(6, 7, 9, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1, 5, 0.1, 9, 2, 3.0]
    ).view(6, 1, 1)
    for quantile in (0.1, 0.5, 0.85):
        for values, kept in zip(
            maps.flatten(1).tolist(), most_attended(maps, quantile).flatten(1).tolist(), strict=True
        ):
            smallest = set(sorted(values)[: math.floor(quantile * 63)])
            assert kept == [value not in smallest for value in values]


def test_a_place_without_attribution_is_not_kept_but_of_an_empty_map_all_are():
    """Three quarters of the map are 0: so is its median, and only the positive quarter is kept."""
    maps = torch.zeros(2, 4, 4)
    maps[0, 0] = torch.tensor([0.1, 0.4, 0.2, 0.3])
    kept = most_attended(maps, 0.5)
    assert torch.equal(kept[0], maps[0] > 0)
    assert kept[1].all()
    assert most_attended(torch.full((1, 4, 4), 0.3), 0.8).all()


@needs_kneed
def test_elbow_by_hand():
    """Normalised curve 0, .05, .1, .2, .6, 1 in fifths: distances 0, .15, .3, .4, .2, 0."""
    curve = torch.tensor([[0.0, 0.05, 0.1, 0.2, 0.6, 1.0]], dtype=torch.float64)
    assert elbows(curve, TENTHS).tolist() == [0.6]
    assert elbows(3 + 7 * curve, TENTHS).tolist() == [0.6]
    assert elbows(curve.float(), TENTHS.float()).item() == pytest.approx(0.6)


@needs_kneed
@pytest.mark.parametrize("rate", [1.0, 4.0, 9.0])
def test_elbow_of_an_exponential(rate):
    """exp(c q), normalised, has slope 1 and greatest distance at ln((e^c - 1) / c) / c."""
    quantiles = torch.linspace(0, 1, 1001, dtype=torch.float64)
    expected = math.log(math.expm1(rate) / rate) / rate
    assert elbows((rate * quantiles).exp()[None], quantiles).item() == pytest.approx(
        expected, abs=0.0006
    )


@needs_kneed
def test_the_elbow_of_a_convex_curve_is_furthest_below_the_diagonal_if_by_more_than_a_step():
    """Each curve against distances to the diagonal of its box; a step is a fifth."""
    bend = torch.linspace(0.2, 2, 60, dtype=torch.float64)[:, None]
    steps = (
        torch.rand(60, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) ** bend
    )
    curves = torch.cat([torch.zeros(60, 1), steps.sort(dim=1).values.cumsum(dim=1)], dim=1)
    found = elbows(curves, TENTHS)
    bends = 0
    for curve, elbow in zip(curves.numpy(), found.tolist(), strict=True):
        below = np.linspace(0, 1, 6) - curve / curve[-1]
        bends += bool(below.max() > 0.2)
        assert elbow == (TENTHS[int(below.argmax())].item() if below.max() > 0.2 else 0.8)
    assert 10 < bends < 50
    assert len(set(found.tolist())) > 2


@needs_kneed
def test_of_two_elbows_the_left_one_is_taken():
    """Distances 0, .3, 0, .1, .4, 0 from the left: both peaks fall by over a fifth to the left."""
    curve = torch.tensor([[0.0, -0.1, 0.4, 0.5, 0.4, 1.0]], dtype=torch.float64)
    assert elbows(curve, TENTHS).tolist() == [0.4]


@needs_kneed
@pytest.mark.parametrize(
    "curve",
    [
        [0.4] * 6,
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        [0.0, 0.5, 0.8, 0.9, 0.95, 1.0],
        [1.0, 0.8, 0.5, 0.3, 0.2, 0.1],
        [0.0, 0.1, 0.25, 0.45, 0.7, 1.0],
    ],
    ids=["flat", "straight", "concave", "falling", "hardly bent"],
)
def test_without_elbow_the_last_is_taken(curve):
    assert elbows(torch.tensor([curve]), TENTHS).tolist() == [0.8]


@pytest.mark.parametrize("quantile", [0.0, 0.05, 0.5, 0.6, 0.97, 1.0])
def test_low_losses_are_numpys(quantile):
    losses = torch.rand(53, generator=torch.Generator().manual_seed(2)).exp()
    expected = losses.double().numpy() <= np.quantile(losses.double().numpy(), quantile)
    assert least_losses(losses, quantile).tolist() == expected.tolist()


def test_the_quantile_may_be_that_of_others():
    """The median of 4, 5, 5 is 5: five of six losses are at most that; the median of all is 3.5."""
    losses = torch.tensor([1.0, 2, 3, 4, 5, 6])
    assert least_losses(losses, 0.5, among=torch.tensor([4.0, 5, 5])).tolist() == [True] * 5 + [
        False
    ]


def test_equal_losses_are_all_low():
    assert least_losses(torch.full((7,), 0.1), 0.3).all()
    assert least_losses(torch.tensor([0.0, 0.0, 0.0, 1.0]), 0.5).tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_refuses():
    with pytest.raises(ValueError, match=r"quantile in \[0, 1\); got 1"):
        most_attended(torch.ones(1, 2, 2), 1.0)
    for wrong in ([0.3], [0.3, 0.3], [0.5, 0.4]):
        with pytest.raises(ValueError, match="two or more ascending quantiles"):
            elbows(torch.zeros(1, len(wrong)), torch.tensor(wrong))
    with pytest.raises(ValueError, match=r"got 2 and -0\.1"):
        least_losses(torch.zeros(2), -0.1)
    with pytest.raises(ValueError, match=r"got 0 and 0\.5"):
        least_losses(torch.zeros(0), 0.5)
