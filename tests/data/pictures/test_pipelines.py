"""Albumentations pipelines: pixels of the library itself, one size, no randomness in evaluation."""

import pickle
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
import torch

from debias import components
from debias.data.dataset import ImageDataset
from debias.data.pictures.cache import open_cache
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.pipelines import pipelines
from debias.data.pictures.preprocessing import Preprocessing
from debias.errors import InputError
from tests.data.small_pictures import noise, small_examples, visits

EVALUATION = [{"SmallestMaxSize": {"max_size": 9}}, {"CenterCrop": {"height": 8, "width": 7}}]
TRAIN = [
    {"RandomResizedCrop": {"size": [8, 7], "scale": [0.5, 1.0]}},
    "HorizontalFlip",
    {"OneOf": {"transforms": ["VerticalFlip", {"Transpose": None}], "p": 0}},
]


def configured(**options: object) -> Preprocessing:
    """What a config with these options makes."""
    section = {"name": "albumentations", "evaluation": EVALUATION} | options
    made: Preprocessing = components.construct("preprocessing", section, {})
    return made


def in_python(*, mirrored: bool = False) -> albumentations.Compose:
    crop = albumentations.CenterCrop(height=8, width=7)
    flip = [albumentations.HorizontalFlip(p=1)] if mirrored else []
    return albumentations.Compose([albumentations.SmallestMaxSize(max_size=9), crop, *flip])


def test_pixels_are_those_of_the_library():
    geometry = configured().evaluation
    assert (geometry.height, geometry.width) == (8, 7)
    for number, size in enumerate([(12, 10), (9, 9), (40, 13)]):
        pixels = noise(number, *size)
        expected = in_python()(image=pixels)["image"]
        np.testing.assert_array_equal(geometry.image(pixels), expected)
    mirrored = pipelines(evaluation=in_python(mirrored=True)).evaluation
    np.testing.assert_array_equal(mirrored.image(pixels), expected[:, ::-1])


def test_the_left_half_stays_the_foreground():
    """A mask is cropped and mirrored like its image, but its values are not changed."""
    mask = np.tile(np.uint8([255] * 20 + [0] * 20), (36, 1))
    grey = albumentations.Compose([in_python(mirrored=True), albumentations.InvertImg(p=1)])
    geometry = pipelines(evaluation=grey).evaluation
    inverted = geometry.image(cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB))
    np.testing.assert_array_equal(geometry.mask(mask)[:, [0, 1, 5, 6]], [[0, 0, 255, 255]] * 8)
    np.testing.assert_array_equal(inverted[:, [0, 1, 5, 6], 0], [[255, 255, 0, 0]] * 8)


def test_config_and_python_share_a_cache_and_other_options_do_not():
    texts = [repr(pipelines(evaluation=in_python(mirrored=flag)).evaluation) for flag in (0, 1)]
    assert repr(configured().evaluation) == texts[0] != texts[1]


def test_a_cache_built_in_threads(tmp_path: Path):
    examples = small_examples(tmp_path, train=100)
    files = ImageFiles.of(examples, examples.rows("train"), configured().evaluation)
    places = torch.tensor([99, 0, 50])
    cached = open_cache(files, tmp_path / "cache").fetch(places)
    for row, image, mask in zip(places.tolist(), cached.images, cached.masks, strict=True):
        np.testing.assert_array_equal(image, in_python()(image=noise(row))["image"])
        assert mask[:, 0].all()
        assert not mask[:, -1].any()
    sent = pickle.loads(pickle.dumps(files)).fetch(places)
    assert torch.equal(sent.images, cached.images)


def test_training_draws_from_the_key(tmp_path: Path):
    """Two visits with one key are equal, others differ, and the mask moves with its image."""
    recipe = configured(train=TRAIN)
    assert (recipe.train.height, recipe.train.width) == (9, 8)
    examples = small_examples(tmp_path)
    source = ImageFiles.of(examples, torch.tensor([0]), recipe.train)
    data = ImageDataset(examples, torch.tensor([0]), source, augmentation=recipe.augmentation)
    batch = data[visits(0, [*range(20), *range(20)])]
    assert batch.image.shape == (40, 3, 8, 7)
    assert torch.equal(batch.image[:20], batch.image[20:])
    assert len({image.numpy().tobytes() for image in batch.image}) > 10
    left = (batch.mask[:, 0, :, 0] == 255).all(dim=1)
    right = (batch.mask[:, 0, :, -1] == 255).all(dim=1)
    assert left.any()
    assert right.any()
    assert not (left & right).any()


def test_without_augmentation_training_is_evaluation():
    recipe = configured()
    assert (recipe.train, recipe.augmentation) == (recipe.evaluation, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluation": ["Resiz"]}, "preprocessing.evaluation: no transform 'Resiz'; did you mean"),
        ({"evaluation": ["cv2"]}, "no transform 'cv2'"),
        ({"evaluation": ["BboxParams"]}, "no transform 'BboxParams'"),
        ({"evaluation": [{"Resize": {"height": 8}}]}, "Resize: 1 validation error for InitSchema "),
        (
            {"evaluation": [{"Resize": {"height": 8, "width": 8, "side": 8}}]},
            "Argument(s) 'side' are not valid",
        ),
        (
            {"evaluation": [{"Resize": 8}]},
            "options as in {HorizontalFlip: {p: 0.5}}; got {'Resize'",
        ),
        (
            {"evaluation": []},
            "must bring every picture to one size; it gives 480 x 640 and 700 x 5",
        ),
        ({"evaluation": [{"SmallestMaxSize": {"max_size": 9}}]}, "it gives 9 x 12 and 13 x 9: end"),
        (
            {"evaluation": [*EVALUATION, "VerticalFlip"]},
            "preprocessing.evaluation must not be rand",
        ),
        ({"evaluation": [{"RandomCrop": {"height": 8, "width": 8}}]}, "must not be random: give"),
        (
            {"evaluation": [*EVALUATION, "Normalize"]},
            "must give uint8 pictures of 3 channels; it gives float32 of shape (8, 7, 3): leave",
        ),
        ({"evaluation": [*EVALUATION, "ToTensorV2"]}, "it gives torch.uint8 of shape (3, 8, 7)"),
        (
            {"evaluation": [{"CenterCrop": {"height": 600, "width": 8}}]},
            "preprocessing.evaluation cannot change a picture of 480 x 640 (Crop size (height, w",
        ),
        (
            {"evaluation": [{"Resize": {"height": 5000, "width": 8}}]},
            "at most 4096 pixels per side",
        ),
        (
            {"train": ["HorizontalFlip"]},
            "train gives pictures of 9 x 8, and evaluation of 8 x 7: end",
        ),
        (
            {"train": [*TRAIN, {"Normalize": {"p": 0.5}}]},
            "preprocessing.train must give uint8 pict",
        ),
        ({"evaluation": "Resize"}, "preprocessing.evaluation must be"),
    ],
)
def test_mistakes(options: dict[str, object], message: str):
    with pytest.raises(InputError) as error:
        configured(**options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_code_cannot_be_written_down():
    function = albumentations.Lambda(image=np.flip)
    with pytest.raises(
        InputError, match=r"evaluation cannot be written down .*: use transforms of"
    ):
        pipelines(evaluation=albumentations.Compose([function]))
