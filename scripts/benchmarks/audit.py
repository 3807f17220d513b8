"""Seconds of ``debias audit`` on 4,795 images, with encoder=none, and of each of its steps.

The images are smooth noise of 500 x 375 pixels, JPEG quality 90, in two classes, 90 % of them in
the training split. With further arguments it audits your own data instead, as in ``scripts/bench
audit waterbirds data.root=PATH images=4795``. Processor seconds are printed beside wall seconds,
since a busy machine slows the latter. Run by ``scripts/bench audit``.
"""

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from debias.commands.audit import audit

IMAGES, SIZE, QUALITY = 4795, (500, 375), 90
#: Largest number of wall seconds on two idle cores.
BAR_SECONDS = 60


def write_images(folder: Path, count: int = IMAGES) -> Path:
    """``folder/{a,b}/*.jpg``: smooth noise with grain."""
    generator = np.random.default_rng(0)
    for number in range(count):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        coarse = cv2.resize(generator.normal(128, 50, (8, 11, 3)), SIZE)
        pixels = coarse + generator.normal(0, 12, coarse.shape)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        cv2.imwrite(f"{place}/{number}.jpg", pixels.clip(0, 255).astype(np.uint8), options)
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        given = sys.argv[1:]
        source = given[0] if given else str(write_images(Path(temporary) / "images"))
        out = f"out={temporary}/audit"
        processor, clock = time.process_time(), time.perf_counter()
        report, _ = audit(source, [*given[1:], out], tell=print)
        cpu, wall = time.process_time() - processor, time.perf_counter() - clock
    for name, seconds in report.findings.seconds.items():
        print(f"  {name:<16} {seconds:6.1f} s")
    count = sum(map(sum, report.images.values()))
    bar = f" (bar: at most {BAR_SECONDS} s on two idle cores)" if not given else ""
    print(f"audit of {count:,} images: {cpu:.1f} s of processor, {wall:.1f} s of wall{bar}")


if __name__ == "__main__":
    main()
