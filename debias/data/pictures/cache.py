"""Pictures of one split, decoded and resized once, in a memory-mapped file for later runs."""

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
from torch import Tensor
from tqdm import tqdm

from debias.data.masks.fills import FILLING
from debias.data.pictures.image_files import ImageFiles, Picture, Pictures
from debias.errors import InputError

#: Pictures that a thread decodes as one task: a task for each costs more than a small picture does.
CHUNK = 32
#: Bytes that a cache leaves free on its disk.
SPARE = 2**26
#: Names of files that are being written; whatever else lies in the folder is not ours to remove.
TEMPORARY = re.compile(
    r"[0-9a-f]{32}-(images|masks|backgrounds\d+|fills[0-9a-f]{32})-[0-9a-f]{32}\.tmp"
)


@dataclass(frozen=True, eq=False)
class CachedPictures:
    """Pictures in memory-mapped ``.npy`` files; each process opens the files for itself.

    Args:
        images_path: ``(M, H, W, 3)`` uint8.
        masks_path: ``(M, H, W)`` uint8, or ``None``.
        backgrounds_path: ``(M, H, W, 3)`` uint8, or ``None``.
    """

    images_path: Path
    masks_path: Path | None = None
    backgrounds_path: Path | None = None

    def __post_init__(self) -> None:
        paths = (self.images_path, self.masks_path, self.backgrounds_path)
        object.__setattr__(
            self, "_arrays", [None if path is None else _opened(path) for path in paths]
        )
        self._arrays: list[Tensor | None]

    def __reduce__(self) -> tuple[type[CachedPictures], tuple[Path, Path | None, Path | None]]:
        return CachedPictures, (self.images_path, self.masks_path, self.backgrounds_path)

    def fetch(self, positions: Tensor) -> Pictures:
        """The pictures at ``(N,)`` int64 positions, as a copy."""
        fields = [
            None if array is None else array.index_select(0, positions) for array in self._arrays
        ]
        return Pictures(*fields)  # type: ignore[arg-type]  # images are never None


def open_cache(files: ImageFiles, folder: Path) -> CachedPictures:
    """Open the cache of these files, building it first where it is missing or any file has changed.

    The name of a cache holds a key of every file's path, size and time of change and of the
    geometry, so a file that is written anew is decoded anew; with other masks, the same images
    stay. A cache appears under its name only when complete (``os.replace``); two processes build it
    once, and a temporary file left by a killed one is removed by the next. Old caches stay until
    the folder is deleted. Backgrounds are one more file, beside the same images and masks; its name
    says how they were filled in.

    Args:
        files: the pictures, in order.
        folder: where caches live; made if missing.

    Returns:
        The pictures, memory-mapped.

    Raises:
        ValueError: a picture is missing or damaged, or the disk lacks room.
    """
    names = [f"{files.images_key()}-images"]
    if files.masks:
        names.append(f"{files.masks_key()}-masks")
    if files.backgrounds:
        names.append(f"{files.masks_key()}-{_filling(files)}")
    wanted = [folder / f"{name}.npy" for name in names]
    if not _exist(wanted):
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "building.lock").is_symlink():
            raise InputError(
                f"{folder / 'building.lock'} is a link, and a lock must be a file: remove it"
            )
        # One lock for the folder: whoever holds it knows that every temporary file there is a dead
        # process's.
        with FileLock(folder / "building.lock"):
            if not _exist(wanted):
                _remove_temporary(folder)
                _build(files, folder, wanted)
    return CachedPictures(*wanted)


def _filling(files: ImageFiles) -> str:
    return f"fills{files.fills_key()}" if files.fills else f"backgrounds{FILLING}"


def _build(files: ImageFiles, folder: Path, wanted: list[Path]) -> None:
    height, width = files.geometry.height, files.geometry.width
    absent = [field for field, path in enumerate(wanted) if not path.exists()]
    wanted = [wanted[field] for field in absent]
    masks = Picture._fields.index("mask")
    shapes = [
        (len(files), height, width) if field == masks else (len(files), height, width, 3)
        for field in absent
    ]
    _check_room(folder, sum(int(np.prod(shape)) for shape in shapes))
    temporary = [folder / f"{path.stem}-{uuid.uuid4().hex}.tmp" for path in wanted]
    try:
        arrays = [
            np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
            for path, shape in zip(temporary, shapes, strict=True)
        ]

        def keep(position: int, picture: Picture) -> None:
            """Write a picture's fields into their arrays."""
            for array, field in zip(arrays, absent, strict=True):
                array[position] = picture[field]

        decode_all(files, keep)
        for array in arrays:
            array.flush()
        for source, target in zip(temporary, wanted, strict=True):
            os.replace(source, target)
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)


def decode_all(files: ImageFiles, keep: Callable[[int, Picture], None]) -> None:
    """Decode every picture once, several at a time, with a progress bar.

    Args:
        files: the pictures.
        keep: called with each position and its picture, in no particular order.

    Raises:
        ValueError: a picture is missing or damaged.
    """

    def decode(chunk: range) -> int:
        """Read some pictures and hand them on; how many there were."""
        for position in chunk:
            keep(position, files.read(position))
        return len(chunk)

    chunks = [range(start, min(start + CHUNK, len(files))) for start in range(0, len(files), CHUNK)]
    pool = ThreadPoolExecutor(
        min(8, os.cpu_count() or 1)
    )  # threads suffice: OpenCV releases the GIL
    try:
        progress = tqdm(total=len(files), desc="decoding pictures", unit="picture", disable=None)
        for done in pool.map(decode, chunks):
            progress.update(done)
        progress.close()
    finally:
        pool.shutdown(cancel_futures=True)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise InputError(
            f"the picture cache needs {needed / 2**20:,.0f} MB in {folder}, and "
            f"{SPARE / 2**20:.0f} to spare; {free / 2**20:,.0f} MB are free: make room, choose "
            "another cache_dir, or set cache=false"
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
