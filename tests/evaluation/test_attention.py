"""Masks from Grad-CAM are those derived by hand, and lie where the picture's own pixels do."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from debias.data.masks.grabcut import Pixels
from debias.data.pictures.preprocessing import resize
from debias.types import Groups
from tests.data.small_pictures import small_examples
from tests.fakes import BackboneNetwork

pytest.importorskip("captum")
from debias.evaluation.attention import gradcam
from debias.evaluation.saved import finished


class ColourReader(BackboneNetwork):
    """The map is the picture itself; class 0 counts its red, class 1 its green, each by the mean
    over all places.
    """

    def __init__(self, stride: int = 1) -> None:
        maps = nn.Conv2d(3, 3, stride, stride, bias=False)
        backbone = nn.Sequential(maps, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(backbone, nn.Linear(3, 2, bias=False))
        with torch.no_grad():
            self.backbone[0].weight.copy_(torch.eye(3)[:, :, None, None] / stride**2)
            self.head.weight.copy_(torch.eye(3)[:2])


def parts_of(folder: Path, model: nn.Module, *, size: int = 16) -> Any:
    """A data set of rows whose targets alternate, pixels only divided by 255."""
    data = SimpleNamespace(preprocessing=resize(size=size), mean=torch.zeros(3), std=torch.ones(3))
    examples = small_examples(folder, masks=False)
    return SimpleNamespace(
        examples=examples, data=data, module=SimpleNamespace(model=model), accelerator="cpu"
    )


def two_squares(side: int = 16, scale: int = 1) -> tuple[Pixels, Pixels, Pixels]:
    """A red square at the upper left, a smaller green one at the lower right, with their places."""
    red, green = (np.zeros((side, side), bool) for _ in range(2))
    red[2:8, 2:10] = True
    green[10:14, 12:16] = True
    red, green = (np.kron(place, np.ones((scale, scale), bool)) for place in (red, green))
    image = np.zeros((*red.shape, 3), np.uint8)
    image[red, 0], image[green, 1] = 255, 255
    return image, red, green


def test_the_mask_is_what_speaks_for_the_class(tmp_path: Path) -> None:
    r"""With A the picture, dz_0 / dA_red = 1 / 256 everywhere and 0 for other channels: the map is
    A_red / 256.

    So it is constant on the red square and 0 elsewhere; scaled to [0, 1], any threshold gives the
    square. Row 0 has target 0, row 1 target 1, whose map is the green one. Red covers more than
    green, so 0 is predicted for both.
    """
    image, red, green = two_squares()
    parts = parts_of(tmp_path, ColourReader())
    for threshold in (0.1, 1.0):
        make = gradcam(parts, threshold=threshold, layer="backbone.0")
        for row, expected in ((0, red), (1, green)):
            made = make(row, image)
            assert made.found
            assert ((made.mask > 0) == expected).all()
    predicted = gradcam(parts, target="predicted", layer="backbone.0")
    assert all(((predicted(row, image).mask > 0) == red).all() for row in (0, 1))


def test_the_threshold_is_a_share_of_the_maps_range(tmp_path: Path) -> None:
    """Red rises from 0 to 150 over 16 columns: from 0.5 on are 80 to 150, the last eight."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 10 * np.arange(16)
    mask = gradcam(parts_of(tmp_path, ColourReader()), threshold=0.5, layer="backbone.0")(
        0, image
    ).mask
    assert (mask[:, 8:] == 255).all()
    assert not mask[:, :8].any()


def test_the_map_is_brought_back_to_the_pictures_own_size(tmp_path: Path) -> None:
    """A picture of 48 x 48, read at 16 x 16: the squares lie on whole places of the map, and half
    way is their edge.
    """
    image, red, _ = two_squares(scale=3)
    mask = gradcam(parts_of(tmp_path, ColourReader()), threshold=0.5, layer="backbone.0")(
        0, image
    ).mask
    assert mask.shape == (48, 48)
    assert ((mask > 0) & red).sum() / ((mask > 0) | red).sum() > 0.98


def test_a_coarse_map_covers_the_place(tmp_path: Path) -> None:
    """Places of 4 x 4 pixels: red lies inside its mask widened by a place; the mask touches it."""
    image, red, _ = two_squares()
    mask = (
        gradcam(parts_of(tmp_path, ColourReader(stride=4)), threshold=0.3, layer="backbone.0")(
            0, image
        ).mask
        > 0
    )
    assert mask[2:8, 2:10].mean() > 0.9
    assert not mask[:, 13:].any()
    assert not mask[11:].any()
    assert red.sum() > 0.4 * mask.sum()


def test_where_nothing_speaks_for_the_class_the_mask_is_empty_and_not_found(tmp_path: Path) -> None:
    image, _, _ = two_squares()
    made = gradcam(parts_of(tmp_path, ColourReader()), layer="backbone.0")(
        0, image * np.uint8([0, 1, 1])
    )
    assert not made.found
    assert not made.mask.any()


def test_a_layer_of_a_single_place_is_refused(tmp_path: Path) -> None:
    make = gradcam(parts_of(tmp_path, ColourReader()), layer="backbone.1")
    with pytest.raises(
        ValueError, match=r"the layer that gradcam reads has a single position: name an earlier one"
    ):
        make(0, two_squares()[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, r"threshold must lie in \(0, 1\] for gradcam; got 0"),
        ({"target": "best"}, "target must be one of true, predicted for gradcam; got 'best'"),
    ],
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradcam(parts_of(tmp_path, ColourReader()), **options)


def test_several_labels_are_refused(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, ColourReader())
    groups = Groups(("not x", "x", "not y", "y"), ("day", "night"), multi_label=True)
    parts.examples = replace(parts.examples, groups=groups)
    with pytest.raises(ValueError, match="several labels per image: Grad-CAM explains one class"):
        gradcam(parts)


def test_only_a_finished_run_has_a_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        finished(tmp_path / "nowhere")
