"""A torch data set that returns uint8 batches of images, and the normalisation of such batches."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from debias.data.examples import Examples
from debias.data.orders import Visits
from debias.data.pictures.image_files import Pictures, PictureSource
from debias.types import Batch

if TYPE_CHECKING:
    import albumentations


class ImageDataset(Dataset[Batch]):
    """Rows of a data set as uint8 batches of the samples that a loader visits.

    Images and backgrounds of a batch are ``(N, 3, H, W)`` uint8, channels last in memory. The
    backgrounds are ``None`` unless the source has them. The mask is ``(N, 1, H, W)`` uint8, 0 or
    255. The index is the row in ``examples``. Give the loader ``batch_size=None``, a sampler of
    :class:`debias.data.orders.Visits`, and :func:`keep` as its ``collate_fn``.

    Args:
        examples: the data set.
        rows: ``(M,)`` int64 rows of ``examples``.
        source: the pixels of these rows, in the same order.
        augmentation: an albumentations pipeline, or ``None``. It draws from the sample's key only.
            So its draws do not depend on the worker, on earlier samples or on the global seed.
    """

    def __init__(
        self,
        examples: Examples,
        rows: Tensor,
        source: PictureSource,
        *,
        augmentation: albumentations.Compose | None = None,
    ) -> None:
        self.rows = rows
        self.target = examples.target[rows]
        self.bias = examples.bias[rows]
        self.source = source
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, visits: Visits) -> Batch:
        """The samples of these visits, as one batch."""
        positions = torch.from_numpy(visits.positions)
        pictures = self.source.fetch(positions)
        if self.augmentation is not None:
            pictures = _augmented(self.augmentation, pictures, visits.keys.tolist())
        return Batch(
            image=pictures.images.permute(0, 3, 1, 2),
            target=self.target[positions],
            bias=self.bias[positions],
            index=self.rows[positions],
            mask=None if pictures.masks is None else pictures.masks[:, None],
            background=None
            if pictures.backgrounds is None
            else pictures.backgrounds.permute(0, 3, 1, 2),
        )


def keep(batch: Batch) -> Batch:
    """Return the batch unchanged: the ``collate_fn`` for :class:`ImageDataset`."""
    return batch


def normalise(batch: Batch, mean: Tensor, std: Tensor, *, channels_last: bool = False) -> Batch:
    r"""Normalise uint8 pixels to :math:`(x / 255 - \mu) / \sigma`, and divide masks by 255.

    Args:
        batch: images and backgrounds ``(N, 3, H, W)``, mask ``(N, 1, H, W)``, all uint8. The batch
            is not changed.
        mean: ``(3,)`` float, in [0, 1].
        std: ``(3,)`` float, positive.
        channels_last: whether the memory of the images is channels last. If not, it is contiguous.

    Returns:
        A batch with float32 images, backgrounds and mask, on the same device.
    """
    scaled = _scaled_rows if channels_last else _scaled_planes
    scale, shift = 1 / (255 * std), -mean / std
    return batch._replace(
        image=scaled(batch.image, scale, shift),
        mask=None if batch.mask is None else batch.mask.float().div_(255),
        background=None if batch.background is None else scaled(batch.background, scale, shift),
    )


def _scaled_planes(image: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    # In place after one conversion: page faults of new float tensors cost more than the arithmetic.
    # The bytes are ordered before it, which moves a quarter of the memory.
    pixels = image.contiguous().float()
    return pixels.mul_(scale[:, None, None]).add_(shift[:, None, None])


def _scaled_rows(image: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    # Whole rows of W * 3 numbers: a loop over three channels is not vectorised (40 % slower).
    samples, channels, height, width = image.shape
    rows = image.permute(0, 2, 3, 1).reshape(samples * height, width * channels).float()
    rows.mul_(scale.repeat(width)).add_(shift.repeat(width))
    return rows.view(samples, height, width, channels).permute(0, 3, 1, 2)


def _augmented(pipeline: albumentations.Compose, pictures: Pictures, keys: list[int]) -> Pictures:
    results = []
    for position, key in enumerate(keys):
        # Not set_random_seed: it gives every transform the same random stream. Two flips of
        # probability 1/2 would then always happen together.
        pipeline.set_random_state(np.random.default_rng(key), random.Random(key))
        sample = {"image": pictures.images[position].numpy()}
        if pictures.masks is not None:
            sample["mask"] = pictures.masks[position].numpy()
        if pictures.backgrounds is not None:
            # albumentations applies to "images" exactly the transforms of the image
            sample["images"] = pictures.backgrounds[position : position + 1].numpy()
        results.append(pipeline(**sample))
    fields = (
        torch.from_numpy(np.stack([result[name] for result in results]))
        if name in results[0]
        else None
        for name in ("image", "mask", "images")
    )
    images, masks, backgrounds = fields
    assert images is not None
    return Pictures(images, masks, None if backgrounds is None else backgrounds[:, 0])
