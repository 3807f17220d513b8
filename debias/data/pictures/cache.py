"""The picture cache: memory-mapped files of decoded, resized pictures that later runs reuse."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from debias.data.masks.fills import FILLING
from debias.data.pictures.image_files import ImageFiles, Picture, Pictures
from debias.devices import usable_cores
from debias.errors import InputError
from debias.files import written_whole
from debias.progress import LongWork

#: Pictures that a thread decodes per task. A task per picture costs more than a small picture.
CHUNK = 32
#: Most threads that decode. With more, they wait for each other in Python.
THREADS = 16
#: Bytes of a new cache after which the disk is asked to store them, while the threads go on.
STORED = 2**25
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

    A cache file has a key in its name: a hash of the geometry and of each image's fingerprint, such
    as its path, size and time of change. So a changed picture leads to a new cache. Images, masks
    and backgrounds have separate cache files, and other masks do not change that of the images. The
    name of a file of backgrounds also depends on how they were filled in.

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
    wanted = _wanted(files, folder)
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


def _wanted(files: ImageFiles, folder: Path) -> list[Path]:
    """The cache files of these pictures: images, masks and backgrounds, if there are."""
    names = [f"{files.images_key()}-images"]
    if files.masks:
        names.append(f"{files.masks_key()}-masks")
    if files.backgrounds:
        names.append(f"{files.masks_key()}-{_filling(files)}")
    return [folder / f"{name}.npy" for name in names]


def _filling(files: ImageFiles) -> str:
    return f"fills{files.fills_key()}" if files.fills else f"backgrounds{FILLING}"


def cache_bytes(files: ImageFiles) -> list[int]:
    """Sizes of the cache files of these pictures: images, masks and backgrounds, if there are."""
    pixels = len(files) * files.geometry.height * files.geometry.width
    return [3 * pixels, *([pixels] if files.masks else ()), *([3 * pixels] * files.backgrounds)]


def cache_room(folder: Path) -> float:
    """Bytes that may be added to the folder by default: half of the free space of its disk."""
    place = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(place).free / 2


def missing_bytes(files: ImageFiles, folder: Path) -> int:
    """Bytes that :func:`open_cache` would add to the folder.

    Raises:
        ValueError: a picture is missing.
    """
    if not folder.is_dir():
        return sum(cache_bytes(files))
    sizes = zip(_wanted(files, folder), cache_bytes(files), strict=True)
    return sum(size for path, size in sizes if not path.exists())


class _NewFile:
    """A cache file in the making, whose pictures several threads may write.

    Args:
        path: the file. It gets the size of the whole array at once.
        shape: the shape of the array; the first axis counts the pictures.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        mapped = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        self.start, self.bytes_each = mapped.offset, mapped.nbytes // shape[0]
        self.handle = os.open(path, os.O_WRONLY)

    def write(self, position: int, pixels: NDArray[np.uint8]) -> None:
        """Write one picture at its place. Threads may write different pictures at once."""
        # not through the memory map: its pages are slow to make, and a full disk kills the process
        rest = np.ascontiguousarray(pixels).data.cast("B")
        place = self.start + position * self.bytes_each
        while rest:
            written = os.pwrite(self.handle, rest, place)
            rest, place = rest[written:], place + written

    def store(self) -> None:
        """Wait until the disk has what was written so far."""
        os.fsync(self.handle)


@contextmanager
def _new_file(path: Path, shape: tuple[int, ...]) -> Iterator[_NewFile]:
    """A cache file that gets its name when all pictures are stored."""
    with written_whole(path, durable=False) as beside:
        file = _NewFile(beside, shape)
        try:
            yield file
            file.store()
        finally:
            os.close(file.handle)


def _build(files: ImageFiles, folder: Path, wanted: list[Path]) -> None:
    height, width = files.geometry.height, files.geometry.width
    absent = [field for field, path in enumerate(wanted) if not path.exists()]
    masks, sizes = Picture._fields.index("mask"), cache_bytes(files)
    _check_room(folder, sum(sizes[field] for field in absent))
    with ExitStack() as stack:
        made = {}
        for field in absent:
            shape = (len(files), height, width, *(() if field == masks else (3,)))
            made[field] = stack.enter_context(_new_file(wanted[field], shape))
        unstored = 0

        def keep(position: int, picture: Picture) -> None:
            """Write each missing field of a picture."""
            for field, file in made.items():
                file.write(position, picture[field])  # type: ignore[arg-type]  # it is there

        def store(count: int) -> None:
            """Store the pictures, while the threads decode others."""
            nonlocal unstored
            unstored += sum(count * file.bytes_each for file in made.values())
            if unstored >= STORED:
                unstored = 0
                for file in made.values():
                    file.store()

        decode_all(files, keep, store)


def decode_all(
    files: ImageFiles,
    keep: Callable[[int, Picture], None] | None = None,
    decoded: Callable[[int], None] | None = None,
) -> None:
    """Decode every picture once, in several threads, and show how many are decoded.

    Args:
        files: the pictures.
        keep: called in the threads with each position and its picture, in any order.
        decoded: called here with the number of further pictures, when they are complete.

    Raises:
        ValueError: a picture is missing or damaged.
    """

    def decode(chunk: range) -> int:
        """Decode the pictures of one chunk and pass them to ``keep``. Returns their number."""
        for position in chunk:
            picture = files.read(position)
            if keep is not None:
                keep(position, picture)
        return len(chunk)

    chunks = [range(start, min(start + CHUNK, len(files))) for start in range(0, len(files), CHUNK)]
    work = LongWork("decoding pictures", len(files), "picture")
    # threads suffice, because decoding and writing release the GIL; an error cancels tasks that
    # have not begun
    with work, ThreadPoolExecutor(min(THREADS, usable_cores())) as pool:
        for count in pool.map(decode, chunks):
            work.add(count)
            if decoded is not None:
                decoded(count)


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
