"""The picture files of some rows: decoded to one shape, or identified without reading them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.data.examples import Examples
from debias.data.masks.fills import filled_background, read_fill
from debias.data.pictures.geometry import Geometry
from debias.data.pictures.images import MAX_PIXELS, read_image, read_mask
from debias.errors import InputError


class Pictures(NamedTuple):
    """Pictures as tensors.

    Attributes:
        images: ``(N, H, W, 3)`` uint8.
        masks: ``(N, H, W)`` uint8, 0 or 255; ``None`` where the data has none.
        backgrounds: ``(N, H, W, 3)`` uint8, the images with their foreground filled in; ``None``
            unless asked for.
    """

    images: Tensor
    masks: Tensor | None = None
    backgrounds: Tensor | None = None


class Picture(NamedTuple):
    """One picture as uint8 arrays: ``(H, W, 3)`` image, ``(H, W)`` mask or ``None``, background
    like it or ``None``.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None = None
    background: NDArray[np.uint8] | None = None


class PictureSource(Protocol):
    """Where a data set's pixels come from: the files themselves, or a cache of them."""

    def fetch(self, positions: Tensor) -> Pictures:
        """The pictures at ``(N,)`` int64 positions, as a copy."""


@dataclass(frozen=True)
class ImageFiles:
    """The picture files of some rows, decoded each time they are asked for.

    Args:
        root: folder of the images.
        images: M paths relative to ``root``.
        mask_root: folder of the masks, or ``None``: no masks.
        masks: M paths relative to ``mask_root``; empty without masks.
        geometry: what every picture goes through.
        backgrounds: whether to fill each picture's foreground in, too, after the geometry.
        fill_root: folder of the fills to take for backgrounds, or ``None``: filled in here.
        fills: M paths relative to ``fill_root``; empty without.
        max_pixels: the most pixels that a file may hold.
    """

    root: Path
    images: tuple[str, ...]
    mask_root: Path | None
    masks: tuple[str, ...]
    geometry: Geometry
    backgrounds: bool = False
    fill_root: Path | None = None
    fills: tuple[str, ...] = ()
    max_pixels: int = MAX_PIXELS

    @classmethod
    def of(
        cls, examples: Examples, rows: Tensor, geometry: Geometry, *, backgrounds: bool = False
    ) -> ImageFiles:
        """The files of ``(M,)`` int64 rows; with masks only if every one of these rows has one.

        Raises:
            ValueError: backgrounds are asked for, and not every row has a mask.
        """
        filled = examples.fills if backgrounds else ()
        images, masks, fills = (
            tuple(paths[row] for row in rows.tolist()) if paths else ()
            for paths in (examples.images, examples.masks, filled)
        )
        if not all(masks):
            masks = ()
        if backgrounds and not masks:
            raise InputError(
                "backgrounds are filled in where a mask says the foreground is, and "
                f"{examples.source} has not a mask for every picture: give the data set masks, or "
                "train without backgrounds"
            )
        mask_root = examples.mask_root if masks else None
        fill_root, most = examples.fill_root if fills else None, examples.max_pixels
        root = examples.root
        return cls(root, images, mask_root, masks, geometry, backgrounds, fill_root, fills, most)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, position: int) -> Picture:
        """Decode one picture and bring it through the geometry.

        Raises:
            ValueError: the image, its mask or its fill is damaged, or their sizes differ.
        """
        most = self.max_pixels
        image = read_image(self.root / self.images[position], max_pixels=most)
        if self.mask_root is None:
            return Picture(self.geometry.image(image))
        size = image.shape[:2]
        mask = read_mask(self.mask_root / self.masks[position], size, max_pixels=most)
        image, mask = self.geometry.image(image), self.geometry.mask(mask)
        if not self.backgrounds:
            return Picture(image, mask)
        if self.fill_root is None:
            return Picture(image, mask, filled_background(image, mask))
        fill = read_fill(self.fill_root / self.fills[position], size, max_pixels=most)
        return Picture(image, mask, self.geometry.image(fill))

    def fetch(self, positions: Tensor) -> Pictures:
        """Decode the pictures at ``(N,)`` int64 positions."""
        fields = zip(*(self.read(position) for position in positions.tolist()), strict=True)
        stacked = [
            None if field[0] is None else torch.from_numpy(np.stack(field)) for field in fields
        ]
        return Pictures(*stacked)  # type: ignore[arg-type]  # images are never None

    def images_key(self) -> str:
        """32 hexadecimal digits that change with any image's path, size or time, and the geometry.

        Raises:
            ValueError: a file is missing.
        """
        return _key(f"1 {self.geometry!r}", self.root, self.images)

    def masks_key(self) -> str:
        """The same of images and masks: what is read of an image is checked against its mask, and
        filled in by it.
        """
        assert self.mask_root is not None
        return _key(self.images_key(), self.mask_root, self.masks)

    def fills_key(self) -> str:
        """The same of the fills."""
        assert self.fill_root is not None
        return _key("", self.fill_root, self.fills)


def _key(said: str, folder: Path, names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(said.encode())
    for name in names:
        digest.update(_fingerprint(folder, name))
    return digest.hexdigest()[:32]


def _fingerprint(folder: Path, name: str) -> bytes:
    try:
        # a path object for each of a million takes as long again
        status = os.stat(f"{folder}/{name}")
    except OSError as error:
        raise InputError(
            f"cannot find picture {folder / name} ({error.strerror}): restore it or remove its row"
        ) from error
    return f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}".encode()
