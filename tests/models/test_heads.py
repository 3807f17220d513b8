"""The adversary's and the sieve's heads: layer sizes, values by definition, precision."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.models.heads import MLPHead, ResidualBlock, ResidualHead

GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(6, 4, generator=GENERATOR)


def test_the_published_adversary():
    """Three hidden layers of 300, each with batch normalisation: its parameters counted by hand."""
    head = MLPHead(2048, 2)
    linear = [(m.in_features, m.out_features) for m in head.modules() if isinstance(m, nn.Linear)]
    assert linear == [(2048, 300), (300, 300), (300, 300), (300, 2)]
    assert sum(isinstance(m, nn.BatchNorm1d) for m in head.modules()) == 3
    assert (
        sum(p.numel() for p in head.parameters())
        == 2049 * 300 + 2 * 301 * 300 + 301 * 2 + 3 * 2 * 300
    )


def test_mlp_by_definition():
    """In evaluation mode a new batch normalisation divides by sqrt(1 + eps)."""
    head = MLPHead(4, 3, hidden_size=5, hidden_layers=1).eval()
    first, last = (m for m in head.modules() if isinstance(m, nn.Linear))
    hidden = (FEATURES @ first.weight.T + first.bias) / (1 + 1e-5) ** 0.5
    hidden = torch.where(hidden > 0, hidden, 0.01 * hidden)
    torch.testing.assert_close(head(FEATURES), hidden @ last.weight.T + last.bias)


def test_no_hidden_layer_is_linear():
    head = MLPHead(4, 2, hidden_layers=0)
    assert len(list(head.parameters())) == 2
    torch.testing.assert_close(
        head(FEATURES) + head(-FEATURES), 2 * head(torch.zeros_like(FEATURES))
    )


def test_mlp_computes_in_float32_under_autocast():
    head = MLPHead(4, 2).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(FEATURES.bfloat16())
    assert logits.dtype == torch.float32
    assert torch.equal(logits, head(FEATURES.bfloat16().float()))


def test_residual_block_adds_its_input():
    """Without its last gain the block gives relu(input), or relu(0) without a skip."""
    maps = torch.randn(2, 3, 4, 4, generator=GENERATOR)
    for skip, expected in ((True, maps.relu()), (False, torch.zeros_like(maps))):
        block = ResidualBlock(3, 3, kernel=3, skip=skip)
        nn.init.zeros_(block.layers[-1].weight)
        assert torch.equal(block(maps), expected)


def test_the_published_auxiliary_head():
    """Two blocks of width 256 on the 64 maps of layer1: 3x3 kernels, the first without skip."""
    head = ResidualHead((64, 56, 56), 2)
    kernels = [tuple(m.weight.shape) for m in head.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(256, 64, 3, 3), (256, 256, 3, 3), (256, 256, 3, 3), (256, 256, 3, 3)]
    assert [block.skip for block in head.blocks] == [False, True]
    assert head(torch.zeros(2, 64, 5, 5)).shape == (2, 2)


def test_tokens_meet_only_in_the_mean():
    """Logits are those of the mean of each token's, so their order does not matter."""
    head = ResidualHead((7, 4), 3, width=8).eval()
    tokens = torch.randn(2, 7, 4, generator=GENERATOR)
    logits = head(tokens)
    torch.testing.assert_close(head(tokens[:, torch.randperm(7, generator=GENERATOR)]), logits)
    alone = torch.stack([head(tokens[:, [place]]) for place in range(7)]).mean(dim=0)
    torch.testing.assert_close(logits, alone)


def test_features_are_one_token():
    head = ResidualHead((4,), 3, width=8).eval()
    torch.testing.assert_close(head(FEATURES), head(FEATURES[:, None]))


def test_maps_see_their_neighbours():
    """Swapping two places of a map changes the logits: the kernels are not 1x1."""
    head = ResidualHead((3, 4, 4), 2, width=8).eval()
    maps = torch.randn(1, 3, 4, 4, generator=GENERATOR)
    assert not torch.allclose(head(maps.flip(2)), head(maps))


@pytest.mark.parametrize("shape", [(3, 6, 6), (5, 4), (4,)])
@pytest.mark.parametrize("depth", [1, 3])
def test_every_parameter_learns(shape, depth):
    head = ResidualHead(shape, 2, width=8, depth=depth)
    assert len(head.blocks) == depth
    F.cross_entropy(
        head(torch.randn(8, *shape, generator=GENERATOR)), torch.arange(8) % 2
    ).backward()
    assert all(parameter.grad.ne(0).any() for parameter in head.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLPHead(4, 2, hidden_size=0), "hidden_size must be at least 1 for a head; got 0"),
        (
            lambda: MLPHead(4, 2, hidden_layers=-1),
            "hidden_layers must be at least 0 for a head; got -1",
        ),
        (
            lambda: ResidualHead((4,), 2, depth=0),
            "depth must be at least 1 for an auxiliary head; got 0",
        ),
        (
            lambda: ResidualHead((4,), 2, width=0),
            "width must be at least 1 for an auxiliary head; got 0",
        ),
        (lambda: ResidualHead((1, 2, 3, 4), 2), r"\(1, 2, 3, 4\)"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
