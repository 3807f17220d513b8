"""What a model looks at, for models of which that can be derived by hand."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from debias import config as configs
from debias.build import build
from debias.data.datamodule import ImageData
from debias.data.examples import Examples
from debias.data.orders import Visits, shuffled
from debias.data.pictures.preprocessing import resize
from debias.evaluation import attention, looking
from debias.metrics.attention.maps import background_attention
from debias.parts import Parts
from debias.pixels import PixelSpace
from debias.strategies.erm import ERM
from debias.training.module import DebiasModule
from debias.types import Groups
from tests.commands.conftest import overrides
from tests.data.small_pictures import GROUPS, write_png
from tests.fakes import BackboneNetwork

SIDE = 16
LABELS = Groups(("not x", "x", "not y", "y"), ("day", "night"), multi_label=True)


class ColourReader(BackboneNetwork):
    """Its last map is the picture; the logits are a linear function of the mean colour."""

    def __init__(
        self, weight: Sequence[Sequence[float]], bias: Sequence[float] = (0.0, 0.0)
    ) -> None:
        layers = (nn.Conv2d(3, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(nn.Sequential(*layers), nn.Linear(3, len(weight)))
        self.backbone.feature_info = [{"module": "0"}]
        with torch.no_grad():
            self.backbone[0].weight.copy_(torch.eye(3)[:, :, None, None])
            self.head.weight.copy_(torch.tensor(weight))
            self.head.bias.copy_(torch.tensor(bias))


class Mirror(ERM):
    """Shows the model red for blue, and blue for red."""

    def prepare(self, image: Tensor) -> Tensor:
        return image.flip(1)


RED_OR_BLUE = ColourReader([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def red_on_blue() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A red square of 4 x 4 on blue, 16 x 16, and where it is."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[3:7, 8:12] = 255
    return np.stack([mask, np.zeros_like(mask), 255 - mask], axis=2), mask


def examples_of(
    folder: Path,
    targets: Sequence[object],
    biases: Sequence[int],
    pictures: Sequence[NDArray[np.uint8]],
) -> Examples:
    """Test images alone; the mask of each is the red square's place."""
    for number, picture in enumerate(pictures):
        write_png(folder / f"images/{number}.png", picture)
        write_png(folder / f"masks/{number}.png", red_on_blue()[1])
    names = tuple(f"{number}.png" for number in range(len(pictures)))
    target, bias = torch.tensor(targets), torch.tensor(biases)
    split, groups = torch.full_like(bias, 2), GROUPS if target.ndim == 1 else LABELS
    source = folder / "metadata.csv"
    return Examples(
        folder / "images", names, target, bias, split, groups, source, folder / "masks", names
    )


def parts_of(
    examples: Examples, model: nn.Module, *, strategy: ERM | None = None, mean: float = 0.0
) -> Parts:
    """A run whose pixels are ``(x - mean) / (1 - mean)``; batches of 3."""
    order = shuffled(torch.zeros(1))
    size = cv2.imread(str(examples.root / examples.images[0])).shape[0]
    normalisation = {"mean": (mean,) * 3, "std": (1 - mean,) * 3}
    data = ImageData(
        examples,
        resize(size=size),
        order,
        **normalisation,
        batch_size=3,
        eval_batch_size=7,
        workers=0,
    )
    module = DebiasModule(
        model,
        strategy or ERM(),
        examples.groups,
        None,
        optimizer=lambda name, parameters: torch.optim.SGD(parameters),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer),
    )
    return Parts(examples, data, module, "cpu", "32-true")


@pytest.fixture
def squares(tmp_path: Path) -> Examples:
    """Two red squares of each class and bias; nothing but the label tells cats from dogs."""
    return examples_of(tmp_path, [0, 0, 1, 1] * 2, [0, 1] * 4, [red_on_blue()[0]] * 8)


def test_maps_of_the_true_class_by_group_and_by_outcome(squares):
    r"""With A the picture, dz_cat / dA_red = 1 / 256 everywhere, so the map of a cat is the red, a
    dog's the blue.

    Scaled to [0, 1]: the mask for cats, all but the mask for dogs. Blue is more than red, so all
    are taken for dogs: dogs are right and cats wrong. Of 256 pixels 16 are foreground, which is a
    focus of 16.
    """
    pytest.importorskip("captum")
    found = looking.attention_scalars(parts_of(squares, RED_OR_BLUE), progress=False)
    for score, cats, dogs in (
        ("background_attention", 0, 1),
        ("attention_iou", 1, 0),
        ("foreground_focus", 16, 0),
        ("thresholded_iou", 1, 0),
        ("pointing_game", 1, 0),
    ):
        parts = {
            f"{score}/{group}": value
            for group, value in zip(GROUPS.names, (cats, cats, dogs, dogs), strict=True)
        }
        parts |= {f"{score}/correct": dogs, f"{score}/wrong": cats, score: (cats + dogs) / 2}
        assert {key: found[key] for key in parts} == pytest.approx(parts, abs=1e-12)
        assert found[f"{score}/undefined"] == 0


def test_maps_and_predictions_are_of_prepared_pictures(squares):
    """Red for blue: the map of a cat is now the background, and all are taken for cats."""
    pytest.importorskip("captum")
    found = looking.attention_scalars(
        parts_of(squares, RED_OR_BLUE, strategy=Mirror()), progress=False
    )
    keys = ("cat-day", "dog-day", "correct", "wrong")
    assert [found[f"background_attention/{key}"] for key in keys] == pytest.approx(
        [1, 0, 1, 0], abs=1e-12
    )


def test_with_several_labels_each_decision_is_explained(tmp_path, monkeypatch):
    """Pixels are -1 and 1. z_x is the mean red, -224 / 256: "absent", told by places without red.

    z_y = z_x + 2 is positive, so red speaks for it: the maps are the background, and the
    foreground. Of 5 maps at most, 2 images take 4.
    """
    pytest.importorskip("captum")
    pictures = [red_on_blue()[0]] * 4
    examples = examples_of(tmp_path, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 0], pictures)
    parts = parts_of(examples, ColourReader([[1.0, 0, 0], [1.0, 0, 0]], bias=(0.0, 2.0)), mean=0.5)
    found = looking.attention_scalars(parts, progress=False)
    keys = ("not x-day", "x-day", "not y-day", "y-day", "correct", "wrong")
    assert [found[f"background_attention/{key}"] for key in keys] == [1, 1, 0, 0, 0.5, 0.5]
    maps: list[int] = []
    original = attention.grad_cam
    monkeypatch.setattr(
        attention, "grad_cam", lambda *a, **k: maps.append(len(a[1])) or original(*a, **k)
    )
    looking.attention_scalars(parts, most=5, progress=False)
    assert maps == [2, 2]


def test_a_trained_kind_of_network_in_batches_and_one_by_one(tmp_path):
    """The mean of nine images' scores is what an image's own map gives, alone, in file order."""
    attribution = pytest.importorskip("captum") and sys.modules["debias.models.attribution"]
    more = ("data.test=20", "preprocessing.size=64", "batch_size=4")
    parts = build(configs.load("drawn_birds", overrides(tmp_path, *more)))
    assert looking.maps_missing(parts) == ""
    taken = set(looking.chosen(parts, "test", 9).tolist())
    data, model = parts.data, parts.module.eval().model
    places = parts.examples.rows("test").tolist()
    scores = []
    for row in sorted(taken):
        sample = data.loader("test").dataset[Visits.of([places.index(row)])]
        batch = data.on_after_batch_transfer(sample, 0)
        maps = attribution.grad_cam(model, batch.image, target=int(sample.target))
        scores.append(background_attention(maps, batch.mask[:, 0]).item())
    found = looking.attention_scalars(parts, most=9, progress=False)
    assert len(taken) == len(set(scores)) == 9
    assert found["background_attention"] == pytest.approx(np.nanmean(scores), rel=1e-4)
    assert looking.attention_scalars(parts, most=9, progress=False) == pytest.approx(
        found, nan_ok=True, rel=1e-12
    )


def test_why_there_are_no_maps(squares, monkeypatch):
    parts = parts_of(squares, RED_OR_BLUE)
    pytest.importorskip("captum")
    assert looking.maps_missing(parts) == ""
    pooled = ColourReader([[1.0, 0, 0], [0.0, 0, 1.0]])
    pooled.backbone.feature_info = [{"module": "1"}]
    sentence = "images of 16 x 16 pixels give a Grad-CAM map of a single position"
    assert sentence in looking.maps_missing(parts_of(squares, pooled))
    assert looking.attention_picture(parts_of(squares, pooled), 0) is None
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    assert "Grad-CAM needs captum: pip install" in looking.maps_missing(parts)


def test_the_picture_is_covered_where_the_map_is(squares):
    """Row 1 is a cat: blue stays as it is; red, where the map is 1, is 0.3 (255, 0, 0) + 0.7 (122,
    4, 3), turbo's end.

    A model that reads three times the red as well finds the square, 3 against 1, the greatest for
    dogs, too; and the background, the least, scaled to 0.
    """
    pytest.importorskip("captum")
    image, mask = red_on_blue()
    for model, row in ((RED_OR_BLUE, 1), (ColourReader([[0.0, 0, 0], [3.0, 0, 1.0]]), 2)):
        picture = looking.attention_picture(parts_of(squares, model), row)
        assert picture is not None
        assert picture.dtype == np.uint8
        assert (picture[mask == 0] == image[mask == 0]).all()
        end = cv2.applyColorMap(np.uint8([[255]]), cv2.COLORMAP_TURBO)[0, 0, ::-1].astype(float)
        assert end == pytest.approx([122, 4, 3], abs=1)
        assert (picture[mask > 0] == np.round(0.3 * np.array([255, 0, 0]) + 0.7 * end)).all()


def test_the_picture_is_the_prepared_one(squares):
    """Red for blue: the square is blue, and a cat's map, the red, lies on the background."""
    pytest.importorskip("captum")
    picture = looking.attention_picture(parts_of(squares, RED_OR_BLUE, strategy=Mirror()), 0)
    assert picture is not None
    assert (picture[red_on_blue()[1] > 0] == [0, 0, 255]).all()


def test_a_model_of_the_mean_colour_needs_the_mean_alone(tmp_path):
    r"""Night is bluer than it is red by 60, day redder; noise up to 20, on 32 x 32 pixels.

    Normalised, :math:`z_1 = b - r - 0.35` with b - r about 0.47 or -0.47. A low pass keeps the
    frequencies in [-r, r), r = int(16 c): none at c = 0.01, where the picture is black and z_1 =
    -0.35, right for half; the mean from 0.1 on. A high pass takes [-r, r) out, r = int(16 (1 - c)):
    nothing at 0.99, and the mean below, when two halves of noise are left, right for half again.
    Only at one end of each curve is 0.5 next to 1: 0.09 of 0.98 at a height of 0.75.
    """
    noise = np.random.default_rng(0).integers(-20, 21, (12, 32, 32, 3))
    colours = np.array([[150, 100, 90], [90, 100, 150]])
    targets = [0, 1] * 6
    pictures = [
        (colours[target] + one).astype(np.uint8) for target, one in zip(targets, noise, strict=True)
    ]
    examples = examples_of(tmp_path, targets, [0] * 12, pictures)
    unmasked = replace(examples, mask_root=None, masks=())
    parts = parts_of(unmasked, ColourReader([[0.0, 0, 0], [-1.0, 0, 1]], (0, -0.35)), mean=0.5)
    scalars = looking.band_pass_scalars(parts, progress=False)
    cutoffs = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
    assert [scalars[f"low_pass/accuracy/{cutoff}"] for cutoff in cutoffs] == [0.5, *[1.0] * 10]
    assert [scalars[f"high_pass/accuracy/{cutoff}"] for cutoff in cutoffs] == [*[0.5] * 10, 1.0]
    assert [key for key in scalars if key.endswith("clean")] == ["accuracy/clean"]
    assert scalars["accuracy/clean"] == 1
    assert scalars["low_pass/area"] == pytest.approx((0.09 * 0.75 + 0.89) / 0.98, rel=1e-12)
    assert scalars["high_pass/area"] == pytest.approx((0.89 * 0.5 + 0.09 * 0.75) / 0.98, rel=1e-12)


def test_groups_take_turns(tmp_path):
    """Of 1, 2, 5 and 8 images: 4 in turn one, 3 in two, 2 in three, the third group's fourth."""
    groups = np.repeat([0, 1, 2, 3], [1, 2, 5, 8])
    examples = examples_of(
        tmp_path, (groups // 2).tolist(), (groups % 2).tolist(), [red_on_blue()[0]] * 16
    )
    parts = parts_of(examples, RED_OR_BLUE)
    taken = looking.chosen(parts, "test", 10).tolist()
    assert np.bincount(groups[taken]).tolist() == [1, 2, 4, 3]
    assert len(set(taken)) == 10
    torch.manual_seed(5)
    assert looking.chosen(parts, "test", 10).tolist() == taken
    assert looking.chosen(parts, "test", 6).tolist() == taken[:6]
    assert looking.chosen(parts, "test", 1000).sort().values.tolist() == list(range(16))


def test_a_group_gives_images_of_everywhere_in_the_file(squares):
    """Half of 400: 100 of the first half, sd 5; unknown biases are a group of their own."""
    bias = torch.zeros(400, dtype=torch.long)
    many = replace(squares, target=bias, bias=bias, split=bias + 2)
    parts = parts_of(squares, RED_OR_BLUE)
    rows = looking.chosen(parts._replace(examples=many), "test", 200)
    assert 75 < (rows < 200).sum() < 125
    unknown = replace(many, bias=torch.where(torch.arange(400) < 10, -1, 0))
    assert (looking.chosen(parts._replace(examples=unknown), "test", 20) < 10).sum() == 10


def test_images_are_taken_batch_by_batch_at_most_so_many(squares, monkeypatch):
    """Of 8, five, in the training's batches of 3."""
    seen: list[int] = []
    parts = parts_of(squares, RED_OR_BLUE)
    original = PixelSpace.pixels
    monkeypatch.setattr(
        PixelSpace, "pixels", lambda space, image: seen.append(len(image)) or original(space, image)
    )
    looking.band_pass_scalars(parts, most=5, progress=False)
    assert seen == [3, 2]
