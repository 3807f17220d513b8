"""Measures on altered pictures, for models of which they can be derived by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from debias.evaluation.altered import altered_scalars
from debias.types import Outputs
from tests.evaluation.test_looking import RED_OR_BLUE, examples_of, parts_of, red_on_blue


class Smoothing(nn.Module):
    """A mean of 3 x 3 pixels; the logits are the mean red and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False), nn.Identity()
        nn.init.constant_(self.first.weight, 1 / 9)

    def forward(self, image):
        red = self.first(image)[:, 0].mean(dim=(1, 2))
        features = torch.stack([red, torch.full_like(red, 0.5)], dim=1)
        return Outputs(features, features)


def test_accuracy_without_colour_texture_or_shape(tmp_path):
    """Blue pictures with a red square, of which all are taken for dogs, half of the time rightly.

    Without colour no channel is larger, and all are taken for the first class, which cats are.
    """
    pictures = [red_on_blue()[0]] * 4
    examples = examples_of(tmp_path, [0, 1, 1, 1], [0, 0, 1, 1], pictures)
    found = altered_scalars(parts_of(examples, RED_OR_BLUE), progress=False)
    keys = ("clean", "greyscale", "edges", "silhouettes", "shuffled")
    expected = [0.75, 0.25, 0.25, 0.25, 0.75]
    assert found == pytest.approx(
        {f"accuracy/{key}": share for key, share in zip(keys, expected, strict=True)}
    )
    without_masks = replace(examples, mask_root=None, masks=())
    again = altered_scalars(parts_of(without_masks, RED_OR_BLUE), progress=False)
    assert again == {key: share for key, share in found.items() if "silhouettes" not in key}


def test_smooth_filters_and_what_they_leave_of_noise(tmp_path):
    """The mean of 9 pixels has no variation; on a plain picture, all variation is of the noise."""
    examples = examples_of(tmp_path, [0, 1], [0, 1], [red_on_blue()[0]] * 2)
    model = Smoothing()
    found = altered_scalars(parts_of(examples, model), progress=False)
    assert found["filter_variation"] == 0
    smooth = found["map_variation"]
    nn.init.zeros_(model.first.weight)
    with torch.no_grad():
        model.first.weight[:, :, 1, 1] = 1  # the picture itself
    sharp = altered_scalars(parts_of(examples, model), progress=False)
    assert sharp["filter_variation"] == pytest.approx(4)
    assert sharp["map_variation"] > 2 * smooth > 2


class Corner(Smoothing):
    """Decides by the red of the upper left pixel; its first layer smoothes."""

    def forward(self, image):
        red = self.first(image)[:, 0, 0, 0]
        features = torch.stack([red, torch.full_like(red, 0.15)], dim=1)
        return Outputs(features, features)


def test_the_draws_of_a_row_do_not_depend_on_the_batch(tmp_path):
    """Pictures of 16 patches, each of another red: the order of patches decides the class."""
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 10 * np.arange(16).reshape(4, 4).repeat(4, 0).repeat(4, 1)
    examples = examples_of(tmp_path, [0] * 12, [0] * 12, [picture] * 12)
    found = []
    for size in (1, 5):
        parts = parts_of(examples, Corner())
        parts.data.batch_size = size
        found.append(altered_scalars(parts, progress=False))
    assert found[0] == pytest.approx(found[1])
    assert 0 < found[0]["accuracy/shuffled"] < 1
