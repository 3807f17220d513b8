"""What stands out of an attribution map: by hand, by definition, and its limits."""

import statistics

import numpy as np
import pytest
import torch

from debias.group_inference.attended import above_quantile, attended


def test_by_hand():
    """Positive are 1 (nine times) and 11: mean 2, variance (9 * 1 + 81) / 10 = 9, so 2 deviations
    reach up to 8, 3 up to 11, which 11 is not above. With the six zeros counted, 3 deviations would
    be 1.25 + 3 * 2.59 = 9.01 < 11."""
    image = torch.tensor([1.0] * 9 + [11.0] + [0.0] * 6).view(1, 4, 4)
    assert attended(image).flatten().nonzero().tolist() == [[9]]
    assert not attended(image, deviations=3).any()
    assert attended(image, deviations=-1).flatten().tolist() == [True] * 10 + [False] * 6


def test_by_definition():
    """Each map against its statistics, by Python's ``statistics`` from its positive places."""
    maps = torch.randn(5, 7, 6, generator=torch.Generator().manual_seed(0)).relu()
    found = attended(maps, deviations=1.5)
    for values, places in zip(
        maps.double().flatten(1).tolist(), found.flatten(1).tolist(), strict=True
    ):
        positive = [value for value in values if value > 0]
        bound = statistics.fmean(positive) + 1.5 * statistics.pstdev(positive)
        assert places == [value > bound for value in values]
        assert 0 < sum(places) < len(positive)


def test_the_scale_of_a_map_does_not_matter():
    maps = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))
    scales = torch.tensor([1.0, 1e-3, 4e4]).view(3, 1, 1)
    assert torch.equal(attended(maps * scales, deviations=1), attended(maps, deviations=1))


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_nothing_stands_out_of_a_flat_map(value):
    assert not attended(torch.full((2, 3, 3), value), deviations=0).any()


def test_the_quantile_is_interpolated_between_two_values_of_the_map():
    """Of 0, 1, 2 and 4: Q(0.5) = 1.5, Q(0.8) = 2 + 0.4 * 2 = 2.8, and Q(2 / 3) = 2 is a value."""
    maps = torch.tensor([[[4.0, 0.0], [1.0, 2.0]]])
    for quantile, marked in ((0.5, [4, 2]), (0.8, [4]), (2 / 3, [4, 2]), (0.3, [4, 1, 2])):
        assert maps[above_quantile(maps, quantile)].tolist() == marked


@pytest.mark.parametrize("quantile", [0.0, 0.25, 0.7, 0.9, 1.0])
def test_the_share_that_is_kept(quantile):
    """100 different values: those from place 99 tau on; each map has its own bound."""
    order = torch.stack(
        [torch.randperm(100, generator=torch.Generator().manual_seed(k)) for k in (0, 1)]
    )
    maps = (order * torch.tensor([[1.0], [0.01]])).view(2, 10, 10)
    kept = above_quantile(maps, quantile)
    count = 100 - int(np.ceil(99 * quantile))
    assert kept.sum(dim=(1, 2)).tolist() == [count, count]
    bounds = np.quantile(maps.double().numpy(), quantile, axis=(1, 2))
    assert np.array_equal(kept.numpy(), maps.double().numpy() >= bounds[:, None, None])


def test_the_limits_of_the_quantile():
    """0 keeps everything, 1 the places that equal the maximum. A constant map, or one with more
    zeros than are hidden, is kept as a whole."""
    maps = torch.tensor([[[0.0, 3.0], [3.0, 1.0]]])
    assert above_quantile(maps, 0).all()
    assert above_quantile(maps, 1).int().tolist() == [[[0, 1], [1, 0]]]
    for value in (0.0, 0.3):
        assert above_quantile(torch.full((1, 5, 5), value), 0.7).all()
    mostly = torch.zeros(1, 5, 5)
    mostly[0, 0, :6] = 1
    assert above_quantile(mostly, 0.7).all()
    assert above_quantile(mostly, 0.9).sum() == 5
    with pytest.raises(ValueError, match=r"quantile must lie in \[0, 1\]; got 1.1"):
        above_quantile(maps, 1.1)
