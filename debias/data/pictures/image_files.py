"""The picture files of some rows: decoding them to one shape, and cache keys without decoding."""

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
    """N pictures of one shape, as tensors.

    Attributes:
        images: ``(N, H, W, 3)`` uint8.
        masks: ``(N, H, W)`` uint8, 0 or 255, or ``None`` if the data set has no masks.
        backgrounds: ``(N, H, W, 3)`` uint8 images with their foreground filled in, or ``None`` if
            the source gives no backgrounds.
    """

    images: Tensor
    masks: Tensor | None = None
    backgrounds: Tensor | None = None


class Picture(NamedTuple):
    """One picture as arrays.

    Attributes:
        image: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` uint8, 0 or 255, or ``None``.
        background: ``(H, W, 3)`` uint8 image with its foreground filled in, or ``None``.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None = None
    background: NDArray[np.uint8] | None = None


class PictureSource(Protocol):
    """A source of a data set's pixels: the picture files, or a cache of them."""

    def fetch(self, positions: Tensor) -> Pictures:
        """The pictures at ``(N,)`` int64 positions, as a copy."""


@dataclass(frozen=True)
class ImageFiles:
    """A picture source that decodes the files at every fetch.

    Args:
        root: folder of the images.
        images: M paths relative to ``root``.
        mask_root: folder of the masks, or ``None`` without masks.
        masks: M paths relative to ``mask_root``, or empty without masks.
        geometry: steps that bring every picture to one shape.
        backgrounds: whether to return the background of each picture too.
        fill_root: folder of existing fills to use as backgrounds. With ``None``, the foreground is
            filled in here, after the geometry.
        fills: M paths relative to ``fill_root``, or empty without fills.
        max_pixels: the most pixels that an image, mask or fill may have.
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
        """Select the files of ``(M,)`` int64 rows. Masks are left out unless all rows have one.

        Raises:
            ValueError: ``backgrounds`` is true and a row has no mask.
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
                "backgrounds need a mask for every picture, and not all pictures of "
                f"{examples.source} have one: set data.masks to a folder of masks, or train "
                "without backgrounds"
            )
        mask_root = examples.mask_root if masks else None
        fill_root, most = examples.fill_root if fills else None, examples.max_pixels
        root = examples.root
        return cls(root, images, mask_root, masks, geometry, backgrounds, fill_root, fills, most)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, position: int) -> Picture:
        """Decode one picture and apply the geometry to its image, mask and background.

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
        """Hash of the geometry and of each image's path, file size and time of change.

        Raises:
            ValueError: a file is missing.
        """
        return _key(f"1 {self.geometry!r}", self.root, self.images)

    def masks_key(self) -> str:
        """Hash of :meth:`images_key`, and of each mask's path, file size and time of change."""
        assert self.mask_root is not None
        return _key(self.images_key(), self.mask_root, self.masks)

    def fills_key(self) -> str:
        """Hash of each fill's path, file size and time of change."""
        assert self.fill_root is not None
        return _key("", self.fill_root, self.fills)


def _key(start: str, folder: Path, names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(start.encode())
    for name in names:
        digest.update(_fingerprint(folder, name))
    return digest.hexdigest()[:32]


def _fingerprint(folder: Path, name: str) -> bytes:
    try:
        # a Path object per file would double the time for a million files
        status = os.stat(f"{folder}/{name}")
    except OSError as error:
        raise InputError(
            f"cannot find picture {folder / name} ({error.strerror}): restore it or remove its row"
        ) from error
    return f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}".encode()
