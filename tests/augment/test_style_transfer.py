"""Style transfer: AdaIN by hand, whose class is in the target, and which files are refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from debias.augment.style_transfer import StyleTransfer
from debias.models.style_networks import REDUCTION, adain, style_decoder, style_encoder
from debias.pixels import PixelSpace
from debias.types import Batch, Groups

GROUPS = Groups(("a", "b", "c"), ("x", "y"))
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
SAMPLES, SIDE = 4, 2 * REDUCTION
NUMBER = torch.arange(SAMPLES)
PIXELS = torch.rand(SAMPLES, 3, SIDE, SIDE - 1, generator=torch.Generator().manual_seed(0))
BATCH = Batch(PixelSpace(MEAN, STD).normalised(PIXELS), NUMBER % 3, NUMBER % 2, NUMBER)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """Random weights of both networks; the encoder's file has a further layer, as published."""
    folder: Path = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    encoder, decoder = style_encoder().state_dict(), style_decoder().state_dict()
    for weight in (*encoder.values(), *decoder.values()):
        if weight.ndim > 1:  # by default the maps of later layers are nearly constant
            torch.nn.init.kaiming_normal_(weight)
    torch.save(encoder | {"32.weight": torch.zeros(2)}, folder / "encoder.pth")
    save_file(decoder, folder / "decoder.safetensors")
    return {"encoder": f"{folder}/encoder.pth", "decoder": f"{folder}/decoder.safetensors"}


def test_adain_takes_mean_and_deviation_of_each_channel():
    content, style = 3 + torch.randn(2, 5, 4, 6), -2 + 7 * torch.randn(2, 5, 3, 3)
    changed = adain(content, style, floor=0.0)
    for take in (torch.mean, torch.std):
        torch.testing.assert_close(take(changed, (2, 3)), take(style, (2, 3)))
    torch.testing.assert_close(adain(content, content), content)
    correlation = torch.corrcoef(torch.stack([changed[0, 0].flatten(), content[0, 0].flatten()]))
    assert correlation[0, 1].item() == pytest.approx(1)


def test_image_and_target_are_those_of_one_partner(files):
    augment = StyleTransfer(GROUPS, MEAN, STD, **files)
    torch.manual_seed(3)
    partner = torch.randperm(SAMPLES)
    torch.manual_seed(3)
    changed = augment(BATCH)
    classes = torch.eye(3)
    expected = 0.8 * classes[BATCH.target] + 0.2 * classes[BATCH.target[partner]]
    torch.testing.assert_close(changed.target, expected)
    content, style = augment.encoder(PIXELS), augment.encoder(PIXELS[partner])
    drawn = augment.decoder(0.5 * adain(content, style) + 0.5 * content)[..., : SIDE - 1]
    expected = PixelSpace(MEAN, STD).normalised(drawn)
    torch.testing.assert_close(changed.image, expected, rtol=1e-4, atol=1e-4)
    assert changed._replace(image=BATCH.image, target=BATCH.target) == BATCH


def test_without_strength_the_partner_has_no_effect_and_with_it_has(files):
    augment = StyleTransfer(GROUPS, MEAN, STD, **files)
    pairs = []
    for augment.alpha in (0.0, 1.0):
        pairs.append([augment.styled(BATCH.image, NUMBER.roll(k)) for k in (1, 2)])
    torch.testing.assert_close(*pairs[0])
    assert not torch.allclose(*pairs[1])


def test_the_networks_are_frozen(files):
    augment = StyleTransfer(GROUPS, MEAN, STD, **files)
    assert not any(parameter.requires_grad for parameter in augment.parameters())
    assert not augment(BATCH).image.requires_grad


def test_refuses_files_that_do_not_fit(files, tmp_path):
    with pytest.raises(ValueError, match=r"augment\.encoder must be a file of weights; got .*noth"):
        StyleTransfer(GROUPS, MEAN, STD)
    swapped = {"encoder": files["decoder"], "decoder": files["encoder"]}
    with pytest.raises(ValueError, match=r"does not fit the encoder of style transfer: 0\.weight"):
        StyleTransfer(GROUPS, MEAN, STD, **swapped)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\] for StyleTransfer"):
        StyleTransfer(GROUPS, MEAN, STD, alpha=2.0, **files)
