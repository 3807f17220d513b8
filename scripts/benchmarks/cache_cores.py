"""Time to build a picture cache on one core and on two. Run by ``scripts/bench data``.

The pictures are JPEGs of 350 x 500, hard links to a few hundred different ones. Passes are
interleaved, and each pass writes its cache to the disk.
"""

import os
import shutil
import statistics
import time
from collections.abc import Sequence
from multiprocessing import Process
from pathlib import Path

import torch

from debias.data.pictures.cache import open_cache
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.image_store import ImageFolder
from debias.data.pictures.preprocessing import waterbirds_augmented

BAR = 1.7


def linked(folder: Path, paths: Sequence[Path], pictures: int) -> ImageFiles:
    folder.mkdir()
    names = tuple(f"{number:06d}.jpg" for number in range(pictures))
    for number, name in enumerate(names):
        os.link(paths[number % len(paths)], folder / name)
    rows, geometry = torch.arange(pictures), waterbirds_augmented().train
    return ImageFiles(ImageFolder(folder, names), rows, None, (), geometry)


def seconds(files: ImageFiles, folder: Path, cores: Sequence[int]) -> float:
    os.sched_setaffinity(0, cores)
    start = time.perf_counter()
    open_cache(files, folder)
    passed = time.perf_counter() - start
    shutil.rmtree(folder)
    return passed


def decoded(files: ImageFiles, first: int) -> None:
    """Decode every second picture, from the first or the second on."""
    for position in range(first, len(files), 2):
        files.read(position)


def machine(files: ImageFiles, cores: Sequence[int]) -> float:
    """How much faster two processes decode than one: what the machine itself allows."""
    times = []
    for allowed in (cores[:1], cores):
        os.sched_setaffinity(0, allowed)
        halves = [Process(target=decoded, args=(files, first)) for first in (0, 1)]
        start = time.perf_counter()
        for half in halves:
            half.start()
        for half in halves:
            half.join()
        times.append(time.perf_counter() - start)
    return times[0] / times[1]


def compare(folder: Path, paths: Sequence[Path], pictures: int, pairs: int) -> bool:
    """Print the ratio beside the bar. Returns whether the bar is met."""
    every = sorted(os.sched_getaffinity(0))
    if len(every) < 2:
        print("cache on two cores: not measured, because this process may use one core only")
        return True
    files, cache = linked(folder / "linked", paths, pictures), folder / "built"
    times = [
        (seconds(files, cache, every[:1]), seconds(files, cache, every[:2])) for _ in range(pairs)
    ]
    limit = machine(files, every[:2])
    os.sched_setaffinity(0, every)
    one, two = (statistics.median(side) for side in zip(*times, strict=True))
    ratio = statistics.median(slow / fast for slow, fast in times)
    print(
        f"cache of {pictures:,} JPEGs of 350 x 500: one core {one:.1f} s, two cores {two:.1f} s, "
        f"ratio {ratio:.2f} (two processes without a cache: {limit:.2f}), bar {BAR}: "
        f"{'passed' if ratio >= BAR else 'FAILED'}",
        flush=True,
    )
    return ratio >= BAR
