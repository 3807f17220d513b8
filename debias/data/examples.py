"""The class that every loader returns: names of images, labels and splits."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.data.pictures.degraded import DegradedImages, Steps
from debias.data.pictures.image_store import ImageFolder, ImageStore
from debias.data.pictures.images import MAX_PIXELS
from debias.types import Groups

SPLITS = ("train", "val", "test")


class TrainingNoise(NamedTuple):
    """Wrong labels and degraded images that were added to the training split.

    Attributes:
        given: the targets before the wrong labels, in the shape of ``Examples.target``.
        degraded: ``(N,)`` bool: which images are degraded.
        steps: their degradations.
        seed: seed of the noise of the images.
    """

    given: Tensor
    degraded: Tensor
    steps: Steps
    seed: int


@dataclass(frozen=True)
class Examples:
    """All rows of a data set: one image path, its labels and its split per row, no pixels.

    Args:
        root: folder of the images. No path may lead out of it.
        images: N paths relative to ``root``, posix style. If ``held`` is given, they are names.
        target: ``(N,)`` int64 class index, or ``(N, L)`` int64 0/1 when multi-label.
        bias: ``(N,)`` int64 value of the bias attribute, -1 if unknown.
        split: ``(N,)`` int64 position in ``SPLITS``.
        groups: names and numbering of the groups.
        source: the file that the rows were read from, for messages.
        mask_root: folder of the masks, or ``None`` if there are no masks.
        masks: N paths relative to ``mask_root``. The path is empty if the image has no mask.
        fill_root: folder of the fills, or ``None`` if debias fills in the foregrounds itself.
        fills: N paths relative to ``fill_root``, or empty. A fill is the image without foreground.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of ``root``, ``mask_root`` and ``fill_root``.
        held: the images by row, if they are not files in ``root``.
        units: N names of what the rows belong to, such as patients, if ``data.split_by`` says so.
        noise: what :func:`debias.data.noise.with_noise` has added, or ``None``.
    """

    root: Path
    images: tuple[str, ...]
    target: Tensor
    bias: Tensor
    split: Tensor
    groups: Groups
    source: Path
    mask_root: Path | None = None
    masks: tuple[str, ...] = ()
    fill_root: Path | None = None
    fills: tuple[str, ...] = ()
    max_pixels: int = MAX_PIXELS
    follow_links: bool = False
    held: ImageStore | None = None
    units: tuple[str, ...] = ()
    noise: TrainingNoise | None = None

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, split: str) -> Tensor:
        """``(M,)`` int64 rows of a split ("train", "val" or "test"), in file order."""
        return (self.split == SPLITS.index(split)).nonzero().flatten()

    def frequencies(self, split: str) -> Tensor:
        """``(groups.count,)`` int64 number of rows of each group in the split."""
        rows = self.rows(split)
        return self.groups.frequencies(self.target[rows], self.bias[rows])

    @property
    def occurring(self) -> Tensor:
        """``(groups.count,)`` bool: whether a split has an image of each group.

        A combination of several bias attributes may not exist, and then is in no split.
        """
        return self.groups.frequencies(self.target, self.bias) > 0

    def class_counts(self, split: str) -> Tensor:
        """``(groups.rows,)`` int64 number of rows of each class in the split.

        When multi-label, each label has two numbers: rows without it, and rows with it.
        """
        row = self.groups.row(self.target[self.rows(split)]).flatten()
        return torch.bincount(row, minlength=self.groups.rows)

    def digest(self) -> str:
        """Hash of paths, labels, splits, group names and noise, as 32 hexadecimal digits."""
        content: tuple[object, ...] = (
            self.images,
            self.target.tolist(),
            self.bias.tolist(),
            self.split.tolist(),
            self.groups.names,
        )
        if self.noise is not None:
            _, degraded, steps, seed = self.noise
            content += (degraded.tolist(), steps, seed)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:32]

    @property
    def store(self) -> ImageStore:
        """The images by row: ``held``, or the files in ``root``, some of them degraded."""
        store = self.held or ImageFolder(self.root, self.images, self.max_pixels)
        if self.noise is None:
            return store
        _, degraded, steps, seed = self.noise
        return DegradedImages(store, self.images, degraded, steps, seed)

    @property
    def provides(self) -> tuple[str, ...]:
        """Those of "bias" and "mask" that every training image has. A strategy may require them."""
        train = self.rows("train")
        has_bias = bool((self.bias[train] >= 0).all()) if len(train) else False
        has_mask = bool(self.masks) and all(self.masks[i] for i in train.tolist())
        return tuple(name for name, present in (("bias", has_bias), ("mask", has_mask)) if present)
