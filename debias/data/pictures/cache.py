"""Pictures of one split, decoded and resized once, in a memory-mapped file for later runs."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

from debias.data.masks.fills import FILLING
from debias.data.pictures.image_files import ImageFiles, Picture, Pictures
from debias.errors import InputError
from debias.files import written_whole

#: Pictures that a thread decodes as one task: a task for each costs more than a small picture does.
CHUNK = 32
#: Bytes that a cache leaves free on its disk.
SPARE = 2**26
#: Names of files that are being written; whatever else lies in the folder is not ours to remove.
TEMPORARY = re.compile(
    r"\.[0-9a-f]{32}-(images|masks|backgrounds\d+|fills[0-9a-f]{32})\.npy\.[0-9a-f]+\.tmp"
)


class CachedPictures:
    """Pictures in memory-mapped ``.npy`` files; each process opens the files for itself.

    Args:
        paths: the file of the images, ``(M, H, W, 3)`` uint8; behind it, where there are any, that
            of the masks, ``(M, H, W)`` uint8, and that of the backgrounds, like the images.
    """

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self.arrays = [_opened(path) for path in paths]

    def __reduce__(self) -> tuple[type[CachedPictures], tuple[Path, ...]]:
        return CachedPictures, self.paths

    def fetch(self, positions: Tensor) -> Pictures:
        """The pictures at ``(N,)`` int64 positions, as a copy."""
        return Pictures(*(array.index_select(0, positions) for array in self.arrays))


def open_cache(files: ImageFiles, folder: Path) -> CachedPictures:
    """Open the cache of these files, building it first where it is missing or any file has changed.

    The name of a cache holds a key of every file's path, size and time of change and of the
    geometry, so a file that is written again is decoded again; with other masks, the same images
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
    masks = Picture._fields.index("mask")
    shapes = [(len(files), height, width, *(() if field == masks else (3,))) for field in absent]
    _check_room(folder, sum(map(math.prod, shapes)))
    with ExitStack() as stack:
        arrays = []
        for field, shape in zip(absent, shapes, strict=True):
            path = stack.enter_context(written_whole(wanted[field], durable=False))
            arrays.append(np.lib.format.open_memmap(path, "w+", np.uint8, shape))

        def keep(position: int, picture: Picture) -> None:
            """Write a picture's fields into their arrays."""
            for array, field in zip(arrays, absent, strict=True):
                array[position] = picture[field]

        decode_all(files, keep)
        for array in arrays:
            array.flush()


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
    bar = tqdm(total=len(files), desc="decoding pictures", unit="picture", disable=None)
    # threads suffice: OpenCV releases the GIL; an error cancels what has not begun
    with bar, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done in pool.map(decode, chunks):
            bar.update(done)


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
