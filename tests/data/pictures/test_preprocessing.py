"""The recipes against known pixels, and against the same recipe written with torchvision."""

import random
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms

from debias.data.pictures.preprocessing import (
    Preprocessing,
    celeba,
    celeba_augmented,
    celeba_augmented_square,
    resize,
    resize_augmented,
    safe,
    shorter_side,
    waterbirds,
    waterbirds_augmented,
)
from tests.data.small_pictures import noise

RECIPES = (waterbirds, waterbirds_augmented, celeba, celeba_augmented, celeba_augmented_square)
RECIPES += (resize, resize_augmented, shorter_side, safe)
WITHOUT_AUGMENTATION = (waterbirds, celeba, resize, shorter_side)
AUGMENTED = (
    (waterbirds_augmented, waterbirds),
    (celeba_augmented, waterbirds),
    (celeba_augmented_square, celeba),
    (resize_augmented, resize),
)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    return cv2.resize(noise(1, 7, 9), (width, height), interpolation=cv2.INTER_CUBIC)


def augmented(recipe: Preprocessing, picture: NDArray[np.uint8], key: int) -> NDArray[np.uint8]:
    pipeline = recipe.augmentation
    assert pipeline is not None
    pipeline.set_random_state(np.random.default_rng(key), random.Random(key))
    result: NDArray[np.uint8] = pipeline(image=recipe.train.image(picture))["image"]
    return result


def test_waterbirds_cuts_224_from_the_middle_of_256() -> None:
    picture = noise(0, 256, 256)
    np.testing.assert_array_equal(waterbirds().evaluation.image(picture), picture[16:240, 16:240])


def test_celeba_keeps_the_middle_178_rows() -> None:
    picture = noise(0, 218, 178)
    np.testing.assert_array_equal(celeba(size=178).evaluation.image(picture), picture[20:198])


def test_shorter_side_cuts_the_middle_of_the_longer_one() -> None:
    """size 14: shorter side 16 already; margins (32 - 14) / 2 = 9 and (16 - 14) / 2 = 1."""
    picture = noise(0, 32, 16)
    np.testing.assert_array_equal(
        shorter_side(size=14).evaluation.image(picture), picture[9:23, 1:15]
    )


def test_resize_cuts_nothing_off() -> None:
    """Quarters of one colour each stay quarters."""
    picture = np.repeat(np.repeat(noise(0, 2, 2), 30, axis=0), 20, axis=1)
    np.testing.assert_array_equal(
        resize(size=4).evaluation.image(picture),
        np.repeat(np.repeat(noise(0, 2, 2), 2, axis=0), 2, axis=1),
    )


def test_the_recipes_for_any_picture_cut_what_they_say() -> None:
    """A dark frame, a sixteenth of the picture wide on each side: kept whole by the first two, cut
    off by the third.
    """
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[16:240, 16:240] = 255
    recipes = (resize, resize_augmented, shorter_side)
    shares = [
        (
            recipe(size=64 if recipe is not shorter_side else 224).evaluation.image(picture) == 0
        ).mean()
        for recipe in recipes
    ]
    assert shares == [1 - 0.875**2, 1 - 0.875**2, 0]


@pytest.mark.parametrize(
    ("recipe", "shape", "published"),
    [
        (waterbirds, (350, 500), [transforms.Resize((256, 256)), transforms.CenterCrop(224)]),
        (waterbirds, (120, 90), [transforms.Resize((256, 256)), transforms.CenterCrop(224)]),
        (celeba, (218, 178), [transforms.CenterCrop(178), transforms.Resize((224, 224))]),
        (celeba_augmented, (218, 178), [transforms.Resize((256, 256)), transforms.CenterCrop(224)]),
        (
            celeba_augmented_square,
            (218, 178),
            [transforms.CenterCrop(178), transforms.Resize((224, 224))],
        ),
        (shorter_side, (350, 500), [transforms.Resize(256), transforms.CenterCrop(224)]),
    ],
)
def test_recipes_agree_with_torchvision_on_smooth_pictures(recipe, shape, published) -> None:  # type: ignore[no-untyped-def]
    picture = smooth(*shape)
    expected = np.asarray(transforms.Compose(published)(Image.fromarray(picture))).astype(float)
    difference = np.abs(recipe().evaluation.image(picture) - expected)
    assert difference.mean() < 0.5
    assert difference.max() <= 4


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("shape", [(50, 70), (218, 178), (300, 40)])
def test_every_recipe_gives_its_size_for_any_picture(recipe, shape) -> None:  # type: ignore[no-untyped-def]
    made = recipe(size=96)
    assert made.evaluation.image(noise(0, *shape)).shape == (96, 96, 3)
    assert made.evaluation.mask(noise(0, *shape)[..., 0]).shape == (96, 96)
    if made.augmentation is not None:
        assert augmented(made, noise(0, *shape), 0).shape == (96, 96, 3)


@pytest.mark.parametrize("recipe", WITHOUT_AUGMENTATION)
def test_without_augmentation_one_cache_serves_training_and_evaluation(recipe) -> None:  # type: ignore[no-untyped-def]
    made = recipe()
    assert made.augmentation is None
    assert repr(made.train) == repr(made.evaluation)


@pytest.mark.parametrize(("recipe", "plain"), AUGMENTED)
def test_augmented_recipes_are_evaluated_without_augmentation(recipe, plain) -> None:  # type: ignore[no-untyped-def]
    assert recipe(size=64).evaluation == plain(size=64).evaluation


def test_celeba_pictures_are_augmented_at_their_own_size() -> None:
    picture = noise(0, 218, 178)
    for recipe in (celeba_augmented(), celeba_augmented_square()):
        np.testing.assert_array_equal(recipe.train.image(picture), picture)


def sides_of_crops(
    recipe: Preprocessing, rows: int, columns: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Width, negative where flipped, and height of 400 crops: red counts columns and green rows."""
    across, down = np.meshgrid(np.arange(columns, dtype=np.uint8), np.arange(rows, dtype=np.uint8))
    picture = np.stack([across, down, np.zeros_like(across)], -1)
    crops = np.stack([augmented(recipe, picture, key) for key in range(400)]).astype(float)
    return crops[:, 0, -1, 0] - crops[:, 0, 0, 0], crops[:, -1, 0, 1] - crops[:, 0, 0, 1]


@pytest.mark.parametrize(
    ("recipe", "narrowest"), [(celeba_augmented, 0.75), (celeba_augmented_square, 1.0)]
)
def test_crops_of_celeba_are_as_narrow_as_published(recipe, narrowest) -> None:  # type: ignore[no-untyped-def]
    """Of 218 rows and 178 columns; widths below 178, shares from 0.7: ratios up to 1.17."""
    width, height = sides_of_crops(recipe(), 218, 178)
    ratio = (np.abs(width) + 1) / (height + 1)
    assert narrowest - 0.02 < ratio.min() < narrowest + 0.05
    assert 1.05 < ratio.max() < 1.19


@pytest.mark.parametrize("recipe", [waterbirds_augmented(), resize_augmented()])
def test_random_crops_have_the_published_areas_and_flip_independently_of_them(
    recipe: Preprocessing,
) -> None:
    """A crop's sides can be read off its corners; torchvision's crops agree."""
    width, height = sides_of_crops(recipe, 256, 256)
    area = (np.abs(width) + 1) * (height + 1) / 256**2
    ratio = (np.abs(width) + 1) / (height + 1)
    assert area.min() > 0.68
    assert area.max() <= 1.0
    published = transforms.RandomResizedCrop(224, scale=(0.7, 1.0))
    boxes = [
        published.get_params(torch.zeros(3, 256, 256), published.scale, published.ratio)
        for _ in range(400)
    ]
    expected = np.mean([height * width / 256**2 for _, _, height, width in boxes])
    assert abs(area.mean() - expected) < 0.02  # standard deviation 0.07 * sqrt(2 / 400) = 0.005
    assert ratio.min() > 0.73
    assert ratio.max() < 1.36
    flipped = width < 0
    assert abs(flipped.mean() - 0.5) < 0.1  # 4 standard deviations of 400 fair coins
    assert abs(area[flipped].mean() - area[~flipped].mean()) < 0.03


@pytest.mark.parametrize("shape", [(40, 50), (15, 20), (33, 12)])
def test_safe_cuts_the_centre_and_frames_small_pictures_as_torchvision(shape: Any) -> None:
    picture = noise(0, *shape)
    cut = transforms.CenterCrop(24)(Image.fromarray(picture))
    np.testing.assert_array_equal(safe(size=24).evaluation.image(picture), np.asarray(cut))


def test_safe_draws_crops_and_flips_of_pixels_that_it_does_not_resize() -> None:
    """Without the other changes, each result is a window of the picture, maybe flipped."""
    picture = noise(0, 20, 20)
    recipe = safe(size=16, window=20, rotation=0.0, jitter=0.0, masked=0.0)
    windows = {
        flip(picture[row : row + 16, column : column + 16]).tobytes(): (row, column, number)
        for row in range(5)
        for column in range(5)
        for number, flip in enumerate((np.asarray, np.fliplr))
    }
    drawn = [windows[augmented(recipe, picture, key).tobytes()] for key in range(60)]
    assert [len(set(values)) for values in zip(*drawn, strict=True)] == [5, 5, 2]


def test_safe_masks_whole_patches_of_half_of_the_pictures() -> None:
    """Shares are uniform up to 3/4, rounded down to sixteenths: 5/16 to 3/8 on average."""
    white = np.full((32, 32, 3), 255, np.uint8)
    recipe = safe(size=32, window=32, rotation=0.0, jitter=0.0, patch=8)
    black = np.stack([augmented(recipe, white, key)[..., 0] == 0 for key in range(200)])
    patches = black.reshape(200, 4, 8, 4, 8).mean(axis=(2, 4))
    assert set(np.unique(patches)) == {0.0, 1.0}
    shares = patches.mean(axis=(1, 2))
    assert shares.max() <= 12 / 16
    assert 0.35 < (shares > 0).mean() < 0.6
    assert 0.28 < shares[shares > 0].mean() < 0.5


def test_safe_turns_and_changes_brightness_as_far_as_it_says() -> None:
    grey = np.full((32, 32, 3), 100, np.uint8)
    recipe = safe(size=32, window=32, rotation=0.0, jitter=0.5, masked=0.0)
    levels = [augmented(recipe, grey, key)[16, 16, 0] for key in range(60)]
    assert 50 <= min(levels) < 65
    assert 135 < max(levels) <= 150
    still = safe(size=32, window=32, jitter=0.0, masked=0.0)
    corners = [augmented(still, grey, key)[0, 0, 0] for key in range(20)]
    assert set(corners) == {0, 100} or set(corners) == {0}


@pytest.mark.parametrize(
    ("option", "value"),
    [("window", 20), ("rotation", 181.0), ("jitter", 1.5), ("masked", -0.1), ("patch", 0)],
)
def test_safe_refuses(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{option} must lie in .* for preprocessing; got"):
        safe(size=24, **{option: value})  # type: ignore[arg-type]
