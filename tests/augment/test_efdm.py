"""Exact histogram matching: brute force over permutations, histograms, ranks, and ties."""

from itertools import permutations

import torch

from debias.augment.efdm import ExactHistogramMatching, matched
from debias.types import Batch

GENERATOR = torch.Generator().manual_seed(0)


def test_it_is_the_nearest_permutation_of_the_partner():
    first, second = torch.rand(2, 5, generator=GENERATOR, dtype=torch.float64)
    choices = torch.stack([second[list(order)] for order in permutations(range(5))])
    nearest = choices[(choices - first).square().sum(dim=1).argmin()]
    assert torch.equal(matched(first.view(1, 1, 1, 5), second.view(1, 1, 1, 5)).flatten(), nearest)


def test_histogram_of_the_partner_and_ranks_of_the_image_in_each_channel():
    first, second = torch.rand(2, 4, 3, 5, 6, generator=GENERATOR)
    result = matched(first, second)
    for position in ((0, 0), (1, 2), (3, 1)):
        own, other, both = (part[position].flatten() for part in (first, second, result))
        assert torch.equal(both.sort().values, other.sort().values)
        assert torch.equal(both.argsort(), own.argsort())
    assert torch.equal(matched(first, first), first)


def test_equal_values_are_ranked_in_reading_order():
    flat = torch.zeros(1, 1, 8, 40)
    ramp = torch.arange(320.0).view(1, 1, 8, 40)
    assert torch.equal(matched(flat, ramp.flip(2, 3)), ramp)


def test_the_augmentation_matches_pixels():
    """Both channels' normalisation differs, and the histogram is that of the partner's pixels."""
    method = ExactHistogramMatching((0.5, 0.2, 0.1), (0.2, 0.5, 1.0), torch.zeros, probability=1.0)
    pixels, number = torch.rand(4, 3, 5, 5, generator=GENERATOR), torch.arange(4)
    torch.manual_seed(1)
    torch.rand(4)
    partner = pixels[torch.randperm(4)]
    torch.manual_seed(1)
    changed = method(Batch(method.space.normalised(pixels), number, number, number)).image
    torch.testing.assert_close(method.space.pixels(changed), matched(pixels, partner))
    assert not torch.equal(partner, pixels)
