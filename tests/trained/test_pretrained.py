"""Networks of timm with their own classifier: pixels, logits and refusals are those of timm."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_model_data_config

from debias.errors import InputError
from debias.models.classifier import Classifier
from debias.trained.pretrained import pretrained, timm_geometry
from tests.data.small_pictures import noise

NAME = "test_resnet"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """New weights of a small network, in a file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "a.safetensors"
    save_file(timm.create_model(NAME, num_classes=1000).state_dict(), path)
    return path


def timm_input(network, pixels):
    transform = create_transform(**resolve_model_data_config(network), is_training=False)
    return transform(Image.fromarray(pixels))


def test_logits_are_those_of_timm(weights):
    network = timm.create_model(NAME, num_classes=1000, checkpoint_path=str(weights)).eval()
    pixels = noise(0, 90, 70)
    model = pretrained(NAME, str(weights))
    assert len(model.classes) == 1000
    image = model.preprocess(pixels)
    expected = timm_input(network, pixels)
    assert torch.allclose(image, expected, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(model(image[None]), network(expected[None]), atol=1e-5)


@pytest.mark.parametrize(
    "stated",
    [
        {"crop_mode": "border", "crop_pct": 0.9, "mean": (0.2, 0.4, 0.6)},
        {"crop_mode": "squash", "crop_pct": 1.0, "interpolation": "bilinear"},
        {"input_size": (3, 48, 64), "crop_pct": 0.875, "interpolation": "bicubic"},
    ],
)
def test_pixels_are_those_of_timm_in_every_crop_mode(stated):
    network = timm.create_model(NAME, num_classes=1000)
    network.pretrained_cfg = network.pretrained_cfg | stated
    pixels = noise(1, 120, 75)
    expected = timm_input(network, pixels)
    model = Classifier(network)
    geometry = timm_geometry(model)
    mean, std = (np.array(values, np.float32) for values in (model.mean, model.std))
    found = (geometry.image(pixels) / np.float32(255) - mean) / std
    assert np.allclose(found.transpose(2, 0, 1), expected.numpy(), atol=1e-5)


def test_an_untrained_head_is_refused(tmp_path):
    """Of another number of classes, or none at all: timm_classifier would draw a new one."""
    state = timm.create_model(NAME, num_classes=7).state_dict()
    headless = {key: value for key, value in state.items() if not key.startswith("fc.")}
    for name, tensors, classes in (("seven", state, 7), ("none", headless, 0)):
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(InputError, match=f"has a head of {classes} classes, not the 1000"):
            pretrained(NAME, str(tmp_path / f"{name}.safetensors"))


def test_weights_that_cannot_be_downloaded_are_one_line(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(InputError, match=r"could not be downloaded \(OSError\): give weights=FILE"):
        pretrained(f"{NAME}.r160_in1k")
