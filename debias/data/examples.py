"""What every loader returns: the images, their labels, and the split of each."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from debias.data.pictures.images import MAX_PIXELS
from debias.types import Groups

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Examples:
    """The rows of a data set, images not yet read.

    Args:
        root: folder that every image path is relative to, and that none may leave.
        images: N paths relative to ``root``, posix style.
        target: ``(N,)`` int64 class index, or ``(N, L)`` int64 0/1 when multi-label.
        bias: ``(N,)`` int64 bias attribute, -1 where unknown.
        split: ``(N,)`` int64 position in ``SPLITS``.
        groups: names and numbering of the groups.
        source: the file the rows were read from, for messages.
        mask_root: folder of the masks, or ``None`` where the data has none.
        masks: N paths relative to ``mask_root``, empty where an image has none.
        fill_root: folder of the fills, or ``None`` where they are made here.
        fills: N paths relative to ``fill_root``, each the image without its foreground; or empty.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of ``root``, ``mask_root`` and ``fill_root``.
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

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, split: str) -> Tensor:
        """``(M,)`` int64 rows of one split ("train", "val" or "test"), in file order."""
        return (self.split == SPLITS.index(split)).nonzero().flatten()

    def frequencies(self, split: str) -> Tensor:
        """``(groups.count,)`` int64: how many rows of the split each group has."""
        rows = self.rows(split)
        return self.groups.frequencies(self.target[rows], self.bias[rows])

    def class_counts(self, split: str) -> Tensor:
        """``(groups.rows,)`` int64: rows of the split of each class, or without and with labels."""
        row = self.groups.row(self.target[self.rows(split)]).flatten()
        return torch.bincount(row, minlength=self.groups.rows)

    def digest(self) -> str:
        """32 hexadecimal digits that change with any row's path, labels, split or group names."""
        said = (
            self.images,
            self.target.tolist(),
            self.bias.tolist(),
            self.split.tolist(),
            self.groups.names,
        )
        return hashlib.sha256(repr(said).encode()).hexdigest()[:32]

    @property
    def provides(self) -> tuple[str, ...]:
        """What a strategy may require: "bias" and "mask", where the training split has it."""
        train = self.rows("train")
        has_bias = bool((self.bias[train] >= 0).all()) if len(train) else False
        has_mask = bool(self.masks) and all(self.masks[i] for i in train.tolist())
        return tuple(name for name, present in (("bias", has_bias), ("mask", has_mask)) if present)
