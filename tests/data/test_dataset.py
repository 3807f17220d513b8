"""What a batch holds; augmentation depends on the key alone; arithmetic of normalisation."""

from dataclasses import replace
from pathlib import Path

import albumentations
import numpy as np
import pytest
import torch

from debias.data.dataset import ImageDataset, normalise
from debias.data.examples import Examples
from debias.data.orders import Visits
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.preprocessing import Geometry
from debias.types import Batch
from tests.data.small_pictures import noise, small_examples, visits, write_png

AS_IT_IS = Geometry((), 12, 10)
FLIPS = albumentations.Compose(
    [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)]
)


def dataset_of(
    examples: Examples, split: str, augmentation: albumentations.Compose | None = None
) -> ImageDataset:
    rows = examples.rows(split)
    return ImageDataset(
        examples, rows, ImageFiles.of(examples, rows, AS_IT_IS), augmentation=augmentation
    )


def test_a_batch_holds_the_rows_pixels_and_labels(tmp_path: Path) -> None:
    """val rows are 6, 7, 8; targets row % 2, biases row // 2 % 2."""
    batch = dataset_of(small_examples(tmp_path), "val")[Visits.of([2, 0])]
    assert batch.index.tolist() == [8, 6]
    assert batch.target.tolist() == [0, 0]
    assert batch.bias.tolist() == [0, 1]
    assert batch.image.dtype == torch.uint8
    np.testing.assert_array_equal(batch.image[0].permute(1, 2, 0), noise(8))
    assert batch.mask is not None
    assert batch.mask.shape == (2, 1, 12, 10)
    assert batch.mask[0, 0, 0].tolist() == [255] * 5 + [0] * 5
    assert batch.weight is None


def test_a_batch_is_the_samples_of_its_visits(tmp_path: Path) -> None:
    """Each with the pixels of its own key, in the order of the visits."""
    dataset = dataset_of(small_examples(tmp_path), "train", FLIPS)
    batch = dataset[Visits(np.array([1, 4]), np.array([9, 11]))]
    for row, (position, key) in enumerate([(1, 9), (4, 11)]):
        alone = dataset[visits(position, [key])]
        assert torch.equal(alone.image[0], batch.image[row])
    assert batch.index.tolist() == [1, 4]
    assert len(dataset) == 6


def test_several_labels_stay_together(tmp_path: Path) -> None:
    examples = replace(small_examples(tmp_path), target=torch.arange(24).reshape(12, 2) % 2)
    assert dataset_of(examples, "val")[Visits.of([0, 1])].target.tolist() == [[0, 1], [0, 1]]


def test_masks_are_given_only_where_every_row_has_one(tmp_path: Path) -> None:
    examples = small_examples(tmp_path)
    partly = replace(examples, masks=(*examples.masks[:7], "", *examples.masks[8:]))
    assert dataset_of(partly, "val")[Visits.of([0])].mask is None
    assert dataset_of(partly, "train")[Visits.of([0])].mask is not None
    assert dataset_of(small_examples(tmp_path, masks=False), "train")[Visits.of([0])].mask is None


def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    examples = small_examples(tmp_path)
    (tmp_path / "masks/0.png").write_bytes((tmp_path / "images/0.png").read_bytes())
    dataset_of(examples, "train")[Visits.of([0])]
    write_png(tmp_path / "masks/0.png", noise(0, 5, 4))
    with pytest.raises(ValueError, match=r"0\.png has width x height 4x5.*10x12"):
        dataset_of(examples, "train")[Visits.of([0])]


def test_pixels_depend_on_the_key_alone(tmp_path: Path) -> None:
    """Not on what was drawn before, nor on the global generators."""
    dataset = dataset_of(small_examples(tmp_path), "train", FLIPS)
    first = dataset[visits(0, range(20))].image
    np.random.seed(1)
    backwards = dataset[visits(0, range(20)[::-1])].image
    assert torch.equal(first, backwards.flip(0))


def test_two_transforms_of_one_pipeline_draw_independently(tmp_path: Path) -> None:
    """Of 400 keys a quarter each: no flip, columns only, rows only, both; standard deviation
    sqrt(400 * 3/16) = 8.7.
    """
    dataset = dataset_of(small_examples(tmp_path), "train", FLIPS)
    images = dataset[visits(0, range(400))].image
    original = torch.from_numpy(noise(0)).permute(2, 0, 1)
    turned = (original, original.flip(2), original.flip(1), original.flip(1, 2))
    counts = [int((images == picture).flatten(1).all(1).sum()) for picture in turned]
    assert sum(counts) == 400
    assert max(abs(count - 100) for count in counts) < 4 * 8.7


def test_the_mask_moves_with_its_image(tmp_path: Path) -> None:
    dataset = dataset_of(small_examples(tmp_path), "train", FLIPS)
    batch = dataset[visits(0, range(40))]
    assert batch.mask is not None
    original = torch.from_numpy(noise(0)).permute(2, 0, 1)
    flipped = torch.tensor(
        [
            torch.equal(x, original.flip(2)) or torch.equal(x, original.flip(1, 2))
            for x in batch.image
        ]
    )
    assert (batch.mask[:, 0, 0, 0] == torch.where(flipped, 0, 255)).all()
    assert 0 < int(flipped.sum()) < 40


def raw_batch(*, mask: bool = True) -> Batch:
    generator = np.random.default_rng(0)
    image = torch.from_numpy(generator.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)).permute(
        0, 3, 1, 2
    )
    zeros = torch.zeros(4, dtype=torch.int64)
    return Batch(
        image,
        zeros,
        zeros,
        zeros,
        torch.tensor([0, 255, 51, 102], dtype=torch.uint8).reshape(4, 1, 1, 1) if mask else None,
    )


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_normalised_values_equal_the_definition_in_float64(
    channels_last: bool, memory: torch.memory_format
) -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    batch = raw_batch()
    batch = batch._replace(image=batch.image.contiguous(memory_format=memory))
    before = batch.image.clone()
    result = normalise(batch, torch.tensor(mean), torch.tensor(std), channels_last=channels_last)
    expected = (before.double() / 255 - torch.tensor(mean).view(3, 1, 1).double()) / torch.tensor(
        std
    ).view(3, 1, 1).double()
    torch.testing.assert_close(result.image.double(), expected, rtol=0, atol=2e-6)
    assert result.image.dtype == torch.float32
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert result.image.is_contiguous(memory_format=layout)
    assert torch.equal(batch.image, before)


def test_masks_are_normalised_to_one_exactly() -> None:
    result = normalise(raw_batch(), torch.zeros(3), torch.ones(3))
    assert result.mask is not None
    torch.testing.assert_close(
        result.mask.flatten(), torch.tensor([0.0, 1.0, 0.2, 0.4]), rtol=0, atol=1e-7
    )
    assert normalise(raw_batch(mask=False), torch.zeros(3), torch.ones(3)).mask is None
