"""Time and memory of planning a run on a table of a million rows, and of its first batch.

"Ten biases" is read both ways: one bias column of ten values with ten thousand classes, and ten
bias columns of two values with two classes. The images are hard links to a hundred small JPEGs.
Each measurement has a process of its own, and begins when everything is imported. Run by
``scripts/bench data``.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

BAR_SECONDS, BAR_MEGABYTES, BAR_GROWTH = 20.0, 1500.0, 1.5
#: Rows per folder of images.
FOLDER = 1000
CONFIG = """
data: {{name: table, file: {file}, root: {root}, target: {target}, bias: {bias}}}
preprocessing: {{name: resize, size: 32}}
model: {{name: resnet18, pretrained: false}}
cache_gb: 0
workers: 0
out: {out}
"""
TEN = [f"bias{number}" for number in range(10)]
READINGS = {
    "10,000 classes x 10 bias values": ("class", "place"),
    "2 classes x 10 bias columns": ("label", f"[{', '.join(TEN)}]"),
}


def write_images(root: Path, rows: int) -> None:
    """A tree of ``rows`` images, which are hard links to a hundred files."""
    generator = np.random.default_rng(0)
    (root / "files").mkdir(parents=True)
    for number in range(100):
        coarse = generator.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(root / f"files/{number}.jpg"), cv2.resize(coarse, (64, 64)))
    for row in range(rows):
        if row % FOLDER == 0:
            (root / f"{row // FOLDER}").mkdir()
        os.link(root / f"files/{row % 100}.jpg", root / f"{row // FOLDER}/{row % FOLDER}.jpg")


def write_table(path: Path, rows: int, classes: int) -> None:
    """Ten rows of a class are eight of training, one of validation and one of test."""
    generator = np.random.default_rng(0)
    places = generator.integers(0, 10, rows).tolist()
    values = generator.integers(0, 1024, rows).tolist()
    with path.open("w") as file:
        file.write(",".join(["path", "split", "class", "place", "label", *TEN]) + "\n")
        for row, (place, value) in enumerate(zip(places, values, strict=True)):
            split = ("train", "val", "test")[max(0, row // classes % 10 - 7)]
            bits = ",".join("yes" if value >> bit & 1 else "no" for bit in range(10))
            file.write(
                f"{row // FOLDER}/{row % FOLDER}.jpg,{split},class_{row % classes:05d},"
                f"place_{place},{row % 2},{bits}\n"
            )


def memory(kind: str) -> float:
    """Megabytes of this process: "VmRSS" now, or "VmHWM" at most so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{kind}:")[1].split()[0]) / 1024


def measured(config: str) -> dict[str, float]:
    """Plan a run as ``debias train`` does, and make its first batch."""
    import torch

    from debias import components
    from debias import config as configs
    from debias.commands.images import image_lines
    from debias.runs.description import describe
    from debias.runs.run import Run

    torch.set_num_threads(1)
    before = memory("VmRSS")
    wall, processor = time.perf_counter(), time.process_time()
    chosen = configs.load(config)
    recipe = components.construct("recipe", chosen.recipe, {})
    parts = Run(chosen, Path(chosen.out) / configs.run_name(chosen)).check(recipe)
    describe(parts, chosen, recipe)
    parts.data.decode()
    image_lines(parts.examples)
    parts.data.trainer = None
    batch = next(iter(parts.data.train_dataloader()))
    assert len(batch.image) == chosen.batch_size
    return {
        "seconds": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "megabytes": memory("VmHWM") - before,
    }


def in_a_process(folder: Path, reading: str, rows: int) -> dict[str, float]:
    target, bias = READINGS[reading]
    config = folder / "config.yaml"
    places = {"file": folder / f"{rows}.csv", "root": folder / "images", "out": folder / "runs"}
    config.write_text(CONFIG.format(target=target, bias=bias, **places))
    command = [sys.executable, "-W", "ignore", __file__, str(config)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def compare(folder: Path, rows: int) -> bool:
    """Print the measurements beside the bars. Returns whether all bars are met."""
    sizes, passed = (rows // 4, rows // 2, rows), True
    write_images(folder / "images", rows)
    for size in sizes:
        write_table(folder / f"{size}.csv", size, classes=min(10_000, rows // 40))
    for reading in READINGS:
        quarter, half, whole = (in_a_process(folder, reading, size) for size in sizes)
        growth = (whole["processor"] - half["processor"]) / (
            2 * (half["processor"] - quarter["processor"])
        )
        good = (
            whole["seconds"] <= BAR_SECONDS
            and whole["megabytes"] <= BAR_MEGABYTES
            and growth <= BAR_GROWTH
        )
        passed = passed and good
        print(
            f"{rows:,} rows, {reading}: plan and first batch {whole['seconds']:.1f} s (processor "
            f"{whole['processor']:.1f}; bar {BAR_SECONDS:g}), {whole['megabytes']:.0f} MB beyond "
            f"import (bar {BAR_MEGABYTES:g}), cost per row of the second half / second quarter "
            f"{growth:.2f} (bar {BAR_GROWTH:g}): {'passed' if good else 'FAILED'}",
            flush=True,
        )
    return passed


if __name__ == "__main__":
    # the imports of a run belong to none of the measurements
    import timm  # noqa: F401

    import debias.models.networks
    import debias.runs.outcome  # noqa: F401

    print(json.dumps(measured(sys.argv[1])))
