"""What stands out of an attribution map: by hand, by definition, and its limits."""

import statistics

import pytest
import torch

from debias.group_inference.attended import attended


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
