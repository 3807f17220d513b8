"""Pictures of one split, decoded and resized once, in a memory-mapped file that later runs open at once."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from debias.data.image_files import ImageFiles, Pictures

#: Names of files that are being written; whatever else lies in the folder is not ours to remove.
TEMPORARY = re.compile(r"[0-9a-f]{32}-(images|masks)-[0-9a-f]{32}\.tmp")


@dataclass(frozen=True, eq=False)
class CachedPictures:
    """Pictures in memory-mapped ``.npy`` files; a copy of this object in another process opens them anew.

    Args:
        images_path: ``(M, H, W, 3)`` uint8.
        masks_path: ``(M, H, W)`` uint8, or ``None``.
    """

    images_path: Path
    masks_path: Path | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_images", _opened(self.images_path))
        object.__setattr__(self, "_masks", None if self.masks_path is None else _opened(self.masks_path))
        self._images: Tensor
        self._masks: Tensor | None

    def __reduce__(self) -> tuple[type[CachedPictures], tuple[Path, Path | None]]:
        return CachedPictures, (self.images_path, self.masks_path)

    def fetch(self, positions: Tensor) -> Pictures:
        """The pictures at ``(N,)`` int64 positions, as a copy."""
        masks = None if self._masks is None else self._masks.index_select(0, positions)
        return Pictures(self._images.index_select(0, positions), masks)


def open_cache(files: ImageFiles, folder: Path) -> CachedPictures:
    """Open the cache of these files, building it first where it is missing or any file has changed.

    The name of a cache holds a key of every file's path, size and time of change and of the geometry, so a file that
    is written anew is decoded anew. A cache appears under its name only when complete (``os.replace``); two processes
    build it once, and a temporary file left by a killed one is removed by the next. Old caches stay until the folder is
    deleted.

    Args:
        files: the pictures, in order.
        folder: where caches live; made if missing.

    Returns:
        The pictures, memory-mapped.

    Raises:
        ValueError: a picture is missing or damaged, or the disk lacks room.
    """
    key = files.key()
    images, masks = folder / f"{key}-images.npy", folder / f"{key}-masks.npy"
    wanted = [images, masks] if files.masks else [images]
    if not _exist(wanted):
        folder.mkdir(parents=True, exist_ok=True)
        # One lock for the folder: whoever holds it knows that every temporary file there is a dead process's.
        with FileLock(folder / "building.lock"):
            if not _exist(wanted):
                _remove_temporary(folder)
                _build(files, folder, wanted)
    return CachedPictures(images, masks if files.masks else None)


def _build(files: ImageFiles, folder: Path, wanted: list[Path]) -> None:
    height, width = files.geometry.height, files.geometry.width
    shapes = [(len(files), height, width, 3), (len(files), height, width)][: len(wanted)]
    _check_room(folder, sum(int(np.prod(shape)) for shape in shapes))
    temporary = [folder / f"{path.stem}-{uuid.uuid4().hex}.tmp" for path in wanted]
    try:
        arrays = [
            np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
            for path, shape in zip(temporary, shapes, strict=True)
        ]

        def keep(position: int, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> None:
            arrays[0][position] = image
            if mask is not None:
                arrays[1][position] = mask

        decode_all(files, keep)
        for array in arrays:
            array.flush()
        for source, target in zip(temporary, wanted, strict=True):
            os.replace(source, target)
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)


def decode_all(files: ImageFiles, keep: Callable[[int, NDArray[np.uint8], NDArray[np.uint8] | None], None]) -> None:
    """Decode every picture once, several at a time, with a progress bar.

    Args:
        files: the pictures.
        keep: called with each position, its image and its mask or ``None``, in no particular order.

    Raises:
        ValueError: a picture is missing or damaged.
    """

    def decode(position: int) -> None:
        keep(position, *files.read(position))

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # threads suffice: OpenCV releases the GIL
    try:
        progress = tqdm(total=len(files), desc="decoding pictures", unit="picture", disable=None)
        for _ in pool.map(decode, range(len(files))):
            progress.update()
        progress.close()
    finally:
        pool.shutdown(cancel_futures=True)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + 2**26:
        raise ValueError(
            f"the picture cache needs {needed / 1e9:.2f} GB in {folder}, where {free / 1e9:.2f} GB are free: "
            "make room, choose another cache_dir, or set cache=false"
        )


def _remove_temporary(folder: Path) -> None:
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _exist(paths: list[Path]) -> bool:
    return all(path.exists() for path in paths)


def _opened(path: Path) -> Tensor:
    # Copy-on-write: torch refuses a read-only array, and no write may reach the file.
    return torch.from_numpy(np.load(path, mmap_mode="c"))
