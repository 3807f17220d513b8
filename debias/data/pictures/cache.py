"""The picture cache: memory-mapped files of decoded, resized pictures that later runs reuse."""

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

from debias.data.masks.fills import FILLING
from debias.data.pictures.image_files import ImageFiles, Picture, Pictures
from debias.errors import InputError
from debias.files import written_whole
from debias.progress import LongWork

#: Pictures that a thread decodes per task. A task per picture costs more than a small picture.
CHUNK = 32
#: Bytes that a new cache must leave free on its disk.
SPARE = 2**26
#: Names of unfinished cache files. Other files in the folder are never removed.
TEMPORARY = re.compile(
    r"\.[0-9a-f]{32}-(images|masks|backgrounds\d+|fills[0-9a-f]{32})\.npy\.[0-9a-f]+\.tmp"
)


class CachedPictures:
    """Pictures in memory-mapped ``.npy`` files. Each process opens the files itself.

    Args:
        paths: the file of the images, ``(M, H, W, 3)`` uint8. Optional further files are first the
            masks, ``(M, H, W)`` uint8, then the backgrounds, ``(M, H, W, 3)`` uint8.
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
    """Open the cache of these files. Build it first if it is missing or if a file has changed.

    A cache file has a key in its name: a hash of the geometry and of each file's path, size and
    time of change. So a changed picture leads to a new cache. Images, masks and backgrounds have
    separate cache files, and other masks do not change that of the images. The name of a file of
    backgrounds also depends on how they were filled in.

    A cache file gets its name only when it is complete (``os.replace``). Of several processes, one
    builds it. The next build removes the temporary files of killed processes. Old cache files
    remain until you delete the folder.

    Args:
        files: the pictures, in order.
        folder: the folder of all caches. It is created if it is missing.

    Returns:
        The pictures, memory-mapped.

    Raises:
        ValueError: a picture is missing or damaged, the disk has too little free space, or the lock
            file is a link.
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
                f"{folder / 'building.lock'} is a link, but a lock must be a file: remove the link"
            )
        # One lock for the folder, so that its temporary files can only be those of dead processes.
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
            """Write each missing field of a picture to its memory-mapped array."""
            for array, field in zip(arrays, absent, strict=True):
                array[position] = picture[field]

        decode_all(files, keep)
        for array in arrays:
            array.flush()


def decode_all(files: ImageFiles, keep: Callable[[int, Picture], None]) -> None:
    """Decode every picture once, in several threads, and show how many are decoded.

    Args:
        files: the pictures.
        keep: function that is called with each position and its picture, in any order.

    Raises:
        ValueError: a picture is missing or damaged.
    """

    def decode(chunk: range) -> int:
        """Decode the pictures of one chunk and pass them to ``keep``. Returns their number."""
        for position in chunk:
            keep(position, files.read(position))
        return len(chunk)

    chunks = [range(start, min(start + CHUNK, len(files))) for start in range(0, len(files), CHUNK)]
    work = LongWork("decoding pictures", len(files), "picture")
    # threads suffice, because OpenCV releases the GIL; an error cancels tasks that have not begun
    with work, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for count in pool.map(decode, chunks):
            work.add(count)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise InputError(
            f"the picture cache needs {needed / 2**20:,.0f} MB in {folder}, and "
            f"{SPARE / 2**20:.0f} to spare; {free / 2**20:,.0f} MB are free: free some space, set "
            "another cache_dir, or set cache=false"
        )


def _remove_temporary(folder: Path) -> None:
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _exist(paths: list[Path]) -> bool:
    return all(path.exists() for path in paths)


def _opened(path: Path) -> Tensor:
    # Copy-on-write: torch does not support read-only arrays, and no write may change the file.
    return torch.from_numpy(np.load(path, mmap_mode="c"))
