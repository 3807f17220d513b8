"""Altered pictures and total variation, by hand."""

import pytest
import torch

from debias.metrics.altered.pictures import (
    edges,
    filter_variation,
    greyscale,
    shuffled_patches,
    silhouettes,
    total_variation,
)


def test_greyscale_keeps_grey_and_removes_colour():
    colour = torch.tensor([1.0, 0.0, 0.5]).view(1, 3, 1, 1)
    assert greyscale(colour).flatten().tolist() == pytest.approx([0.299 + 0.057] * 3)
    grey = torch.full((1, 3, 2, 2), 0.25)
    torch.testing.assert_close(greyscale(grey), grey)


def test_edges_are_dark_where_brightness_jumps_and_ignore_contrast():
    step = torch.zeros(1, 3, 6, 6)
    step[..., 3:] = 0.5
    found = edges(step)
    assert found[0, 0, 2].tolist() == [1, 1, 0, 0, 1, 1]
    torch.testing.assert_close(edges(0.2 * step + 0.1), found)
    assert edges(torch.full((1, 3, 4, 4), 0.7)).min() > 0.999


def test_silhouettes_show_the_mask_alone():
    mask = torch.tensor([[[[1.0, 0.0]]]])
    assert silhouettes(torch.rand(1, 3, 1, 2), mask).tolist() == [[[[0, 1]]] * 3]


def test_patches_change_places_and_stay_whole():
    """9 x 8 pixels in a grid of 4: patches of 2 x 2, and the last row stays."""
    pixels = torch.arange(2 * 3 * 9 * 8).view(2, 3, 9, 8).float()
    generator = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(16, generator=generator) for _ in range(2)])
    found = shuffled_patches(pixels, order)
    row, column = divmod(int(order[1, 0]), 4)  # the patch that comes to the upper left corner
    taken = pixels[1, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    assert torch.equal(found[1, :, :2, :2], taken)
    assert torch.equal(found[:, :, 8], pixels[:, :, 8])
    assert not torch.equal(found[0] - found[1], pixels[0] - pixels[1])  # each has its own order

    def patches(images):
        cut = images[:, :, :8].unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5)
        return [sorted(map(tuple, each.reshape(16, 12).tolist())) for each in cut]

    assert patches(found) == patches(pixels)


def test_the_variation_of_filters_has_no_scale():
    """The first filter has a variation of 2 and a size of 2, the second 0 and 4; one is zero."""
    filters = torch.tensor([[[0.0, 1.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0] * 2] * 2])
    assert total_variation(filters).tolist() == [2, 0, 0]
    assert filter_variation(filters[:, None]) == filter_variation(7 * filters[:, None]) == 0.5
