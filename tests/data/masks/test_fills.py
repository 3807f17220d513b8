"""Fills keep what is not the object, continue what is around it, and travel with their picture from
file to batch.
"""

import random
from dataclasses import replace
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
import torch

from debias.data import datamodule
from debias.data.datamodule import ImageData
from debias.data.dataset import ImageDataset, normalise
from debias.data.examples import Examples
from debias.data.masks.fills import filled_background
from debias.data.orders import Visits, shuffled
from debias.data.pictures import image_files
from debias.data.pictures.cache import open_cache
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.preprocessing import resize, waterbirds_augmented
from tests.data.small_pictures import noise, small_examples, visits, write_png

HALF = (0.5, 0.5, 0.5)


def disc(side: int, radius: int) -> np.ndarray:
    return cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), radius, 255, -1)


def files_of(examples: Examples, *, backgrounds: bool = True) -> ImageFiles:
    return ImageFiles.of(
        examples, examples.rows("train"), resize(size=12).train, backgrounds=backgrounds
    )


def test_a_red_disc_on_a_flat_ground_disappears() -> None:
    """The ground is 90 everywhere; the disc is drawn a pixel wider than its mask, within the margin
    of 64 / 32 = 2.

    OpenCV's arithmetic is a few grey levels off even here.
    """
    mask = disc(64, 12)
    image = np.full((64, 64, 3), 90, np.uint8)
    image[disc(64, 13) > 0] = (255, 0, 0)
    assert np.abs(filled_background(image, mask).astype(int) - 90).max() <= 4
    assert (image[32, 32] == (255, 0, 0)).all()


def test_pixels_away_from_the_object_stay_to_the_bit() -> None:
    mask, image = disc(64, 12), noise(0, 64, 64)
    filled = filled_background(image, mask)
    widened = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))) > 0
    assert (filled[~widened] == image[~widened]).all()
    assert (filled[mask > 0] != image[mask > 0]).any(axis=1).mean() > 0.95


def test_a_slope_is_continued() -> None:
    """Columns rise by 2 each: behind a disc of 21 columns (margin included) a flat fill is off by
    10 on average.
    """
    image = np.broadcast_to((2 * np.arange(64, dtype=np.uint8))[None, :, None], (64, 64, 3)).copy()
    filled = filled_background(image, disc(64, 8))
    error = np.abs(filled.astype(int) - image)[disc(64, 10) > 0]
    assert error.mean() < 5


def test_an_empty_and_a_full_mask_change_nothing() -> None:
    image = noise(1, 20, 20)
    for value in (0, 255):
        assert (filled_background(image, np.full((20, 20), value, np.uint8)) == image).all()


def test_a_mask_whose_margin_reaches_everywhere_is_filled_without_margin() -> None:
    """All but one corner pixel: with its margin of one pixel the mask would be full."""
    image, mask = noise(2, 8, 8), np.full((8, 8), 255, np.uint8)
    mask[0, 0] = 0
    filled = filled_background(image, mask)
    assert (filled[0, 0] == image[0, 0]).all()
    assert np.abs(filled.astype(int) - image[0, 0]).max() <= 6


def test_cached_backgrounds_equal_decoded_ones(tmp_path: Path) -> None:
    files = files_of(small_examples(tmp_path))
    positions = torch.tensor([4, 0])
    cached, decoded = open_cache(files, tmp_path / "cache").fetch(positions), files.fetch(positions)
    assert cached.backgrounds is not None
    assert decoded.backgrounds is not None
    assert cached.masks is not None
    assert torch.equal(cached.backgrounds, decoded.backgrounds)
    expected = filled_background(cached.images[0].numpy(), cached.masks[0].numpy())
    assert (cached.backgrounds[0].numpy() == expected).all()


def test_backgrounds_are_added_to_a_cache_without_writing_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = small_examples(tmp_path)
    plain = open_cache(files_of(examples, backgrounds=False), tmp_path / "cache")
    written = plain.paths[0].stat().st_ino
    filled = open_cache(files_of(examples), tmp_path / "cache")
    assert plain.fetch(torch.tensor([0])).backgrounds is None
    assert filled.paths[0] == plain.paths[0]
    assert plain.paths[0].stat().st_ino == written
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 3
    monkeypatch.setattr(image_files, "filled_background", None)
    again = open_cache(files_of(examples), tmp_path / "cache").fetch(torch.arange(6))
    assert again.backgrounds is not None
    assert again.backgrounds.shape == (6, 12, 12, 3)


def test_a_background_moves_with_its_image(tmp_path: Path) -> None:
    """Crops and flips: the background's pixels are those that the same draws make of it as an image
    of its own.
    """
    examples, recipe = small_examples(tmp_path), waterbirds_augmented(size=8)
    rows = examples.rows("train")
    files = ImageFiles.of(examples, rows, recipe.train, backgrounds=True)
    assert recipe.augmentation is not None
    batch = ImageDataset(examples, rows, files, augmentation=recipe.augmentation)[
        visits(2, range(12))
    ]
    plain = ImageDataset(
        examples, rows, replace(files, backgrounds=False), augmentation=recipe.augmentation
    )
    unfilled = plain[visits(2, range(12))]
    assert batch.background is not None
    assert unfilled.background is None
    assert torch.equal(batch.image, unfilled.image)
    background = files.read(2).background
    for key in range(12):
        recipe.augmentation.set_random_state(np.random.default_rng(key), random.Random(key))
        expected = recipe.augmentation(image=background)["image"]
        assert (batch.background[key].permute(1, 2, 0).numpy() == expected).all()


def test_colour_changes_are_the_backgrounds_too(tmp_path: Path) -> None:
    """A pasted object and its ground are lit alike only if both were changed by the same draw."""
    examples = small_examples(tmp_path)
    rows = examples.rows("train")
    jitter = albumentations.Compose([albumentations.RandomBrightnessContrast(p=1.0)])
    batch = ImageDataset(examples, rows, files_of(examples), augmentation=jitter)[visits(0, [3])]
    assert batch.background is not None
    assert batch.mask is not None
    ground = (batch.mask[0, 0] == 0).clone()
    ground[:, :8] = False  # beyond the mask's margin
    assert torch.equal(batch.background[0][:, ground], batch.image[0][:, ground])


@pytest.mark.parametrize("channels_last", [False, True])
def test_backgrounds_are_normalised_as_images_are(tmp_path: Path, channels_last: bool) -> None:
    examples = small_examples(tmp_path)
    batch = ImageDataset(examples, examples.rows("train"), files_of(examples))[Visits.of([0, 1])]
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.5, 0.6])
    result = normalise(batch, mean, std, channels_last=channels_last)
    alone = normalise(
        batch._replace(image=batch.background), mean, std, channels_last=channels_last
    )
    assert result.background is not None
    assert torch.equal(result.background, alone.image)


@pytest.mark.parametrize("cache", [False, True])
def test_only_training_carries_backgrounds_unless_evaluation_asks(
    tmp_path: Path, cache: bool
) -> None:
    examples = small_examples(tmp_path)
    data = ImageData(
        examples, resize(size=8), shuffled(examples.target[examples.rows("train")]), mean=HALF,
        std=HALF, cache_dir=tmp_path / "cache" if cache else None, backgrounds=True,
    )  # fmt: skip
    data.decode()
    train, val = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))
    asked = next(iter(data.loader("val", backgrounds=True)))
    assert train.background is not None
    assert train.background.shape == train.image.shape
    assert val.background is None
    assert asked.background is not None
    assert torch.equal(asked.image[asked.index.argsort()], val.image)
    data.backgrounds = False
    assert next(iter(data.train_dataloader())).background is None


def test_evaluation_with_backgrounds_mixes_the_classes_of_sorted_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 rows sorted by class, batches of 8: in file order none held both; each row comes once."""
    monkeypatch.setattr(datamodule, "EXCHANGED", 8)
    examples = small_examples(tmp_path, train=2, val=40, test=1)
    target = torch.tensor([0, 1] + [0] * 24 + [1] * 16 + [0])
    data = ImageData(
        replace(examples, target=target), resize(size=8), shuffled(target[:2]), mean=HALF, std=HALF
    )
    batches = list(data.loader("val", backgrounds=True))
    index = torch.cat([batch.index for batch in batches])
    assert index.sort().values.tolist() == list(range(2, 42))
    assert sum(len(batch.target.unique()) == 2 for batch in batches) >= 4
    assert torch.equal(
        index, torch.cat([batch.index for batch in data.loader("val", backgrounds=True)])
    )


def test_backgrounds_without_masks_are_refused_at_once(tmp_path: Path) -> None:
    """No mask at all, and one missing."""
    without = small_examples(tmp_path, masks=False)
    one_less = replace(
        small_examples(tmp_path), masks=("", *(f"{number}.png" for number in range(1, 12)))
    )
    for examples in (without, one_less):
        with pytest.raises(ValueError, match=r"not all pictures of .*metadata\.csv have one"):
            ImageData(
                examples,
                resize(size=8),
                shuffled(examples.target[:6]),
                mean=HALF,
                std=HALF,
                backgrounds=True,
            )


def test_an_object_is_gone_from_a_drawn_scene(tmp_path: Path) -> None:
    """A bright square on dark noise: nothing bright is left, also where JPEG-like blur widened it
    by a pixel.
    """
    image = noise(5, 64, 64) // 4
    image[20:40, 20:44] = 250
    image = cv2.blur(image, (3, 3))
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:44] = 255
    write_png(tmp_path / "scene.png", image)
    assert filled_background(image, mask).max() < 64
