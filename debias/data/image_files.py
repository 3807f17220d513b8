"""The picture files of some rows: decoded and brought to one shape on demand, or identified without reading them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.data.examples import Examples
from debias.data.geometry import Geometry
from debias.data.images import read_image, read_mask


class Pictures(NamedTuple):
    """``(N, H, W, 3)`` uint8 images and ``(N, H, W)`` uint8 masks (0 or 255), or ``None`` where the data has none."""

    images: Tensor
    masks: Tensor | None


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
    """

    root: Path
    images: tuple[str, ...]
    mask_root: Path | None
    masks: tuple[str, ...]
    geometry: Geometry

    @classmethod
    def of(cls, examples: Examples, rows: Tensor, geometry: Geometry) -> ImageFiles:
        """The files of ``(M,)`` int64 rows; with masks only if every one of these rows has one."""
        images = tuple(examples.images[row] for row in rows.tolist())
        masks = tuple(examples.masks[row] for row in rows.tolist()) if examples.masks else ()
        if not all(masks) or examples.mask_root is None:
            masks = ()
        return cls(examples.root, images, examples.mask_root if masks else None, masks, geometry)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, position: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Decode one picture: ``(H, W, 3)`` image and ``(H, W)`` mask, both uint8 and through the geometry.

        Raises:
            ValueError: the image or its mask is damaged, or their sizes differ.
        """
        image = read_image(self.root / self.images[position])
        if self.mask_root is None:
            return self.geometry.image(image), None
        mask = read_mask(self.mask_root / self.masks[position], (image.shape[0], image.shape[1]))
        return self.geometry.image(image), self.geometry.mask(mask)

    def fetch(self, positions: Tensor) -> Pictures:
        """Decode the pictures at ``(N,)`` int64 positions."""
        pairs = [self.read(position) for position in positions.tolist()]
        images = torch.from_numpy(np.stack([image for image, _ in pairs]))
        masks = [mask for _, mask in pairs if mask is not None]
        return Pictures(images, torch.from_numpy(np.stack(masks)) if masks else None)

    def key(self) -> str:
        """32 hexadecimal digits that change with any file's path, size or time of change, and with the geometry.

        Raises:
            ValueError: a file is missing.
        """
        digest = hashlib.sha256(f"1 {self.geometry!r}".encode())
        for folder, names in ((self.root, self.images), (self.mask_root, self.masks)):
            for name in names:
                assert folder is not None  # masks without a folder are dropped in `of`
                digest.update(_fingerprint(folder, name))
        return digest.hexdigest()[:32]


def _fingerprint(folder: Path, name: str) -> bytes:
    try:
        status = (folder / name).stat()
    except OSError as error:
        raise ValueError(
            f"cannot find picture {folder / name} ({error.strerror}): restore it or remove its row"
        ) from error
    return f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}".encode()
