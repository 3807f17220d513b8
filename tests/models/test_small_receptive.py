"""How far each network sees, how its layers are laid out, and that it returns logits and the
features they read.
"""

import pytest
import torch
from torch import nn

from debias.models.classifier import small_receptive_classifier
from debias.models.small_receptive import NETWORKS, simple_conv_net


def seen(body: nn.Module, size: int) -> tuple[int, int]:
    """Height and width of the pixels that the middle of the last map depends on."""
    image = torch.randn(
        1, 3, size, size, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    maps = body(image)
    maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2].sum().backward()
    assert image.grad is not None
    rows, columns = image.grad[0].abs().sum(dim=0).nonzero(as_tuple=True)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


@pytest.mark.parametrize(
    ("name", "pixels"),
    [("simple_conv_k1", 1), ("simple_conv_k7", 25), ("simple_conv_k1_cell4", 4), ("bagnet18", 5)],
)
def test_receptive_field(name, pixels):
    """Four kernels of 7 see 4 * 6 + 1 = 25; in BagNet-18 the stem sees 3, a block 2 more."""
    torch.manual_seed(0)
    assert seen(NETWORKS[name](10).body.eval(), 64) == (pixels, pixels)


@pytest.mark.parametrize(
    ("name", "features", "parameters"),
    [
        # convolutions with bias, batch normalisation, linear layer
        ("simple_conv_k1", 128, (3 * 16 + 16 * 32 + 32 * 64 + 64 * 128) + 240 + 480 + 1290),
        ("simple_conv_k7", 128, 49 * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 128) + 240 + 480 + 1290),
        # stem; first block, of kernel 3; second blocks; first blocks that change the width;
        # shortcuts; BN; linear
        (
            "bagnet18",
            512,
            (3 * 64 + 9 * 64 * 64)
            + (9 * 64**2 + 64**2)
            + 2 * (64**2 + 128**2 + 256**2 + 512**2)
            + (64 * 128 + 128**2 + 128 * 256 + 256**2 + 256 * 512 + 512**2)
            + (64 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
            + 2 * (64 + 5 * (64 + 128 + 256 + 512))
            + 5130,
        ),
    ],
)
def test_sizes(name, features, parameters):
    classifier = small_receptive_classifier(10, name=name)
    assert classifier.feature_size == features
    assert sum(parameter.numel() for parameter in classifier.parameters()) == parameters


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_read_the_pooled_features(name):
    torch.manual_seed(0)
    classifier = small_receptive_classifier(4, name=name).eval()
    image = torch.randn(2, 3, 28, 32)
    logits, features = classifier(image)
    torch.testing.assert_close(features, classifier.backbone.body(image).mean(dim=(2, 3)))
    torch.testing.assert_close(logits, features @ classifier.head.weight.T + classifier.head.bias)
    assert logits.shape == (2, 4)


def test_a_kernel_of_one_knows_no_places():
    """Shuffled pixels give the same logits with kernel 1, and other ones with kernel 7."""
    torch.manual_seed(0)
    image = torch.randn(3, 3, 12, 12)
    shuffled = image.flatten(2)[:, :, torch.randperm(144)].reshape(3, 3, 12, 12)
    blind, sighted = (
        small_receptive_classifier(4, name=f"simple_conv_k{k}").eval() for k in (1, 7)
    )
    torch.testing.assert_close(blind(shuffled).logits, blind(image).logits, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(sighted(shuffled).logits, sighted(image).logits, rtol=1e-2)


def test_pixels_are_scaled_as_published():
    assert (
        small_receptive_classifier(10).mean == small_receptive_classifier(10).std == (0.5, 0.5, 0.5)
    )
    assert small_receptive_classifier(9, name="bagnet18").mean == (0.485, 0.456, 0.406)


def test_new_weights_have_the_variance_of_their_kind():
    """Kaiming, fan out: a variance of 2 / (49 * 128) for the last of the four convolutions."""
    torch.manual_seed(0)
    weight = NETWORKS["simple_conv_k7"](10).body[9].weight
    assert weight.var().item() == pytest.approx(2 / (49 * 128), rel=0.02)


def test_cells_are_mean_colours():
    """A net with cells gives what the net without gives for the picture of mean colours."""
    torch.manual_seed(0)
    with_cells = simple_conv_net(3, kernel=1, cell=4).eval()
    without = simple_conv_net(3, kernel=1).eval()
    without.fc.load_state_dict(with_cells.fc.state_dict())
    for mine, theirs in zip(with_cells.body[1:], without.body, strict=True):
        theirs.load_state_dict(mine.state_dict())
    image = torch.randn(2, 3, 8, 12)
    colours = image.view(2, 3, 2, 4, 3, 4).mean(dim=(3, 5))
    torch.testing.assert_close(with_cells(image), without(colours))


def test_refuses():
    with pytest.raises(ValueError, match="'simple_conv_k2'; did you mean 'simple_conv_k"):
        small_receptive_classifier(10, name="simple_conv_k2")
    with pytest.raises(
        ValueError,
        match="'x'; valid: bagnet18, simple_conv_k1, simple_conv_k1_cell4, simple_conv_k7",
    ):
        small_receptive_classifier(10, name="x")
    with pytest.raises(
        ValueError, match="kernel must be odd, so that maps keep their size; got kernel=4"
    ):
        simple_conv_net(10, kernel=4)
