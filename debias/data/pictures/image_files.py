"""The pictures of some rows: decoding them to one shape, and cache keys without decoding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
from debias.data.pictures.image_store import ImageStore, file_fingerprint
from debias.data.pictures.images import MAX_PIXELS, read_mask
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
    """A picture source that decodes images, masks and fills at every fetch.

    Args:
        store: the images of the data set.
        rows: ``(M,)`` int64 rows of the images in ``store``.
        mask_root: folder of the masks, or ``None`` without masks.
        masks: M paths relative to ``mask_root``, or empty without masks.
        geometry: steps that bring every picture to one shape.
        backgrounds: whether to return the background of each picture too.
        fill_root: folder of existing fills to use as backgrounds. With ``None``, the foreground is
            filled in here, after the geometry.
        fills: M paths relative to ``fill_root``, or empty without fills.
        max_pixels: the most pixels that a mask or fill may have.
    """

    store: ImageStore
    rows: Tensor
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
        """Select the pictures of ``(M,)`` int64 rows. Masks are left out unless all rows have one.

        Raises:
            ValueError: ``backgrounds`` is true and a row has no mask.
        """
        filled = examples.fills if backgrounds else ()
        masks, fills = (
            tuple(paths[row] for row in rows.tolist()) if paths else ()
            for paths in (examples.masks, filled)
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
        store = examples.store
        return cls(store, rows, mask_root, masks, geometry, backgrounds, fill_root, fills, most)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, position: int) -> Picture:
        """Decode one picture and apply the geometry to its image, mask and background.

        Raises:
            ValueError: the image, its mask or its fill is damaged, or their sizes differ.
        """
        most = self.max_pixels
        image = self.store.read(int(self.rows[position]))
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
        """Hash of the geometry and of each image's fingerprint.

        Raises:
            ValueError: an image is missing.
        """
        return _key(f"1 {self.geometry!r}", map(self.store.fingerprint, self.rows.tolist()))

    def masks_key(self) -> str:
        """Hash of :meth:`images_key`, and of each mask's path, file size and time of change."""
        assert self.mask_root is not None
        return _key(self.images_key(), _fingerprints(self.mask_root, self.masks))

    def content_key(self) -> str:
        """Hash of all that is read: images, and masks and fills if there are any."""
        pictures = self.images_key() if self.mask_root is None else self.masks_key()
        return pictures if self.fill_root is None else pictures + self.fills_key()

    def fills_key(self) -> str:
        """Hash of each fill's path, file size and time of change."""
        assert self.fill_root is not None
        return _key("", _fingerprints(self.fill_root, self.fills))


def _key(start: str, fingerprints: Iterable[bytes]) -> str:
    digest = hashlib.sha256(start.encode())
    for fingerprint in fingerprints:
        digest.update(fingerprint)
    return digest.hexdigest()[:32]


def _fingerprints(folder: Path, names: tuple[str, ...]) -> Iterable[bytes]:
    return (file_fingerprint(folder, name) for name in names)
