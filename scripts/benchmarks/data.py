"""Speed of data: batches against plain PIL and torchvision, a cache on two cores, a million rows.

The first measures images per second of the cached pipeline on the same JPEGs. Both sides end in
normalised float batches at 224 px, in this process. Pairs are interleaved, so that a busy machine
slows both sides of a pair alike. Run by ``scripts/bench data``.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cache_cores
import cv2
import million_rows
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from debias.data.datamodule import ImageData
from debias.data.examples import Examples
from debias.data.orders import shuffled
from debias.data.pictures.preprocessing import Preprocessing, waterbirds, waterbirds_augmented
from debias.types import Groups

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BAR = 4.0


class PlainImages(Dataset[tuple[Tensor, int]]):
    def __init__(self, paths: list[Path], transform: Callable[[Image.Image], Tensor]) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.transform(Image.open(self.paths[position]).convert("RGB")), position % 2


def write_jpegs(folder: Path, count: int) -> list[Path]:
    generator = np.random.default_rng(0)
    paths = [folder / f"{number:04d}.jpg" for number in range(count)]
    for path in paths:
        coarse = generator.integers(0, 256, (14, 20, 3)).astype(np.float32)
        texture = cv2.resize(coarse, (500, 350), interpolation=cv2.INTER_CUBIC) + generator.normal(
            0, 6, (350, 500, 3)
        )
        cv2.imwrite(
            str(path), texture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90]
        )
    return paths


def cached_loader(
    paths: list[Path], recipe: Preprocessing, cache: Path
) -> tuple[ImageData, Iterable[object]]:
    zeros = torch.zeros(len(paths), dtype=torch.int64)
    groups = Groups(("a", "b"), ("c", "d"))
    names = tuple(path.name for path in paths)
    examples = Examples(paths[0].parent, names, zeros, zeros, zeros, groups, paths[0].parent)
    data = ImageData(
        examples, recipe, shuffled(zeros), mean=MEAN, std=STD, batch_size=64, workers=0,
        cache_dir=cache, channels_last=True,
    )  # fmt: skip
    return data, data.train_dataloader()


def plain_loader(paths: list[Path], geometry: list[Callable[..., object]]) -> Iterable[object]:
    transform = transforms.Compose(
        [*geometry, transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    return DataLoader(PlainImages(paths, transform), batch_size=64, shuffle=True)


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(
    name: str, data: ImageData, cached: Iterable[object], plain: Iterable[object], pairs: int
) -> float:
    def run_cached() -> None:
        for batch in cached:
            data.on_after_batch_transfer(batch, 0)  # type: ignore[arg-type]

    def run_plain() -> None:
        for _ in plain:
            pass

    count = len(data.examples)
    run_cached()
    times = [(seconds(run_cached), seconds(run_plain)) for _ in range(pairs)]
    ours, theirs = (count / statistics.median(side) for side in zip(*times, strict=True))
    ratio = statistics.median(slow / fast for fast, slow in times)
    print(
        f"{name}: cached {ours:.0f} images/s, PIL + torchvision {theirs:.0f} images/s, median "
        f"ratio {ratio:.2f}"
    )
    return ratio


def batches(folder: Path, paths: list[Path], pairs: int) -> bool:
    """Print the ratios beside the bar. Returns whether the bar is met."""
    resized = [transforms.Resize((256, 256)), transforms.CenterCrop(224)]
    cropped = [transforms.RandomResizedCrop(224, (0.7, 1.0)), transforms.RandomHorizontalFlip()]
    ratios = []
    for name, recipe, geometry in (
        ("resize and crop (waterbirds)", waterbirds(), resized),
        ("random crop and flip (waterbirds_augmented)", waterbirds_augmented(), cropped),
    ):
        data, cached = cached_loader(paths, recipe, folder / "cache")
        ratios.append(compare(name, data, cached, plain_loader(paths, geometry), pairs))
    lowest = min(ratios)
    verdict = "passed" if lowest >= BAR else "FAILED"
    print(f"lowest ratio {lowest:.2f}, bar {BAR}: {verdict}", flush=True)
    return lowest >= BAR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("batches", "cache", "rows"), help="measure one part")
    parser.add_argument("--pairs", type=int, default=5, help="repetitions of the batches")
    parser.add_argument("--images", type=int, default=400, help="different JPEGs")
    parser.add_argument("--pictures", type=int, default=10_000, help="pictures of the cache")
    parser.add_argument("--passes", type=int, default=2, help="repetitions of the cache")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    wanted, passed = options.only, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = [] if wanted == "rows" else write_jpegs(folder, options.images)
        if wanted in (None, "batches"):
            passed.append(batches(folder, paths, options.pairs))
        if wanted in (None, "cache"):
            passed.append(cache_cores.compare(folder, paths, options.pictures, options.passes))
        if wanted in (None, "rows"):
            passed.append(million_rows.compare(folder, options.rows))
    print("PASS" if all(passed) else "FAILED")


if __name__ == "__main__":
    main()
