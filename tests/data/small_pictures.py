"""Hand-made picture data sets for the tests of this folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from debias.data.examples import Examples
from debias.data.orders import Visits
from debias.types import Groups

GROUPS = Groups(("cat", "dog"), ("day", "night"))


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write RGB or greyscale pixels without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def touch(root: Path, *paths: str) -> str:
    """Make empty files below a folder, and return the folder's path."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return str(root)


def digest(root: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder, by its path from there."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def noise(number: int, height: int = 12, width: int = 10) -> NDArray[np.uint8]:
    """Random RGB pixels, the same for the same number."""
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def small_examples(
    folder: Path, *, train: int = 6, val: int = 3, test: int = 3, masks: bool = True
) -> Examples:
    """Noise images ``0.png, 1.png, ...`` (12 x 10), splits one after the other, each mask the
    image's left half.
    """
    count = train + val + test
    for number in range(count):
        write_png(folder / f"images/{number}.png", noise(number))
        if masks:
            write_png(
                folder / f"masks/{number}.png", np.tile(np.uint8([255] * 5 + [0] * 5), (12, 1))
            )
    names = tuple(f"{number}.png" for number in range(count))
    return Examples(
        root=folder / "images",
        images=names,
        target=torch.arange(count) % 2,
        bias=torch.arange(count) // 2 % 2,
        split=torch.tensor([0] * train + [1] * val + [2] * test),
        groups=GROUPS,
        source=folder / "metadata.csv",
        mask_root=folder / "masks" if masks else None,
        masks=names if masks else (),
    )


def visits(position: int, keys: Sequence[int]) -> Visits:
    """One visit to the same position per key."""
    return Visits(np.full(len(keys), position), np.array(keys))
