"""MaskNetwork: shapes, its start close to 1, and that every part of it learns."""

import pytest
import torch
from torch import nn

from debias.models.mask_network import MaskNetwork


@pytest.mark.parametrize("size", [(16, 16), (32, 48), (37, 50)])
def test_a_mask_for_each_pixel(size):
    mask = MaskNetwork(width=4)(torch.randn(2, 3, *size))
    assert mask.shape == (2, 1, *size)
    assert 0 < mask.min().item() < mask.max().item() < 1


def test_starts_close_to_one():
    """The last bias is 3: sigmoid(3) = 0.9526."""
    torch.manual_seed(0)
    mask = MaskNetwork()(torch.randn(2, 3, 64, 64))
    assert mask.mean().item() == pytest.approx(0.9526, abs=0.02)


def test_channels():
    network = MaskNetwork(width=4, depth=3)
    sizes = [
        (m.in_channels, m.out_channels, m.kernel_size[0])
        for m in network.modules()
        if isinstance(m, nn.Conv2d)
    ]
    assert sizes == [(3, 4, 4), (4, 8, 4), (8, 16, 4), (16, 8, 3), (16, 4, 3), (8, 1, 3)]


def test_learns_to_hide_a_half():
    """Told to pass the left half of pictures of noise and hide the right, it does: places stay."""
    torch.manual_seed(0)
    network, image = MaskNetwork(width=4), torch.randn(4, 3, 32, 32)
    image[:, :, :, 16:] += 1
    wanted = (torch.arange(32) < 16).float().expand(4, 1, 32, 32)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(40):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy(network(image), wanted).backward()
        assert step > 0 or all(p.grad is not None for p in network.parameters())
        optimizer.step()
    assert ((network(image) > 0.5) == (wanted > 0.5)).float().mean().item() > 0.95


def test_an_open_mask_can_be_closed_under_bfloat16():
    """At a last logit of 6.5 the mask is 0.9985 and has a slope, 0.0015; bfloat16 would round it to
    1, without one.
    """
    network = MaskNetwork(width=4, depth=2)
    convolution = network.last[1]
    nn.init.zeros_(convolution.weight)
    nn.init.constant_(convolution.bias, 6.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mask = network(torch.randn(2, 3, 8, 8))
    assert mask.dtype == torch.float32
    torch.testing.assert_close(mask, torch.full((2, 1, 8, 8), 0.998499), atol=1e-6, rtol=0)
    (slope,) = torch.autograd.grad(mask.mean(), convolution.bias)
    assert slope.item() == pytest.approx(0.998499 * 0.001501, rel=1e-2)


@pytest.mark.parametrize("options", [{"width": 0}, {"depth": 1}])
def test_refuses(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name} must be at least {value + 1}"):
        MaskNetwork(**options)


def test_refuses_pictures_that_are_too_small():
    with pytest.raises(ValueError, match=r"sides of at least 16 pixels; got \(8, 32\)"):
        MaskNetwork(width=4)(torch.zeros(1, 3, 8, 32))
