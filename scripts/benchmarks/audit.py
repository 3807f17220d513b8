"""Seconds of ``debias audit`` and of its steps: without a network, and with all cues.

Without options it audits 4,795 images with encoder=none. With ``--weights FILE`` of
tf_efficientnet_lite0 it audits 5,000 images with masks and all cues: it kills the audit by kill -9
after half of the steps, starts it again, and checks that no step was computed twice. ``--images``
is another number of images. With a source it audits your own data instead, as in ``scripts/bench
audit waterbirds data.root=PATH images=4795``.

The images are smooth noise of 500 x 375 pixels, JPEG quality 90, in two classes, 90 % of them in
the training split. Processor seconds are printed beside wall seconds, since a busy machine slows
the latter. Run by ``scripts/bench audit``.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from debias.audits.cues.encoder import ENCODED
from debias.audits.cues.rungs import RUNGS
from debias.commands.audit import audit

IMAGES, CUE_IMAGES, SIZE, QUALITY = 4795, 5000, (500, 375), 90
#: Largest number of wall seconds on two idle cores.
BAR_SECONDS, CUE_BAR_SECONDS = 60, 480
#: Kept steps after which the audit of all cues is killed.
KILLED_AFTER = len(ENCODED) + len(RUNGS) // 2


def write_images(folder: Path, count: int) -> Path:
    """``folder/{a,b}/*.jpg``: smooth noise with grain, and a table with masks of an ellipse."""
    generator = np.random.default_rng(0)
    rows = ["path,target,split,mask"]
    for number in range(count):
        place = f"{'ab'[number % 2]}/{number}"
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        coarse = cv2.resize(generator.normal(128, 50, (8, 11, 3)), SIZE)
        pixels = coarse + generator.normal(0, 12, coarse.shape)
        mask = np.zeros(SIZE[::-1], np.uint8)
        middle, axes = generator.integers(150, 225, 2), generator.integers(40, 90, 2)
        cv2.ellipse(mask, middle.tolist(), axes.tolist(), 0, 0, 360, 255, -1)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        cv2.imwrite(f"{folder}/{place}.jpg", pixels.clip(0, 255).astype(np.uint8), options)
        cv2.imwrite(f"{folder}/{place}.png", mask)
        split = "val" if number % 20 > 17 else "train"
        rows.append(f"{place}.jpg,{'ab'[number % 2]},{split},{place}.png")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")
    return folder


def time_audit(source: str, options: list[str], bar: str) -> None:
    processor, clock = time.process_time(), time.perf_counter()
    report, _ = audit(source, options, tell=print)
    cpu, wall = time.process_time() - processor, time.perf_counter() - clock
    for name, seconds in report.findings.seconds.items():
        print(f"  {name:<28} {seconds:6.1f} s")
    count = sum(map(sum, report.images.values()))
    print(f"audit of {count:,} images: {cpu:.1f} s of processor, {wall:.1f} s of wall{bar}")


def time_cues(images: Path, weights: str, out: Path) -> None:
    """Audit with all cues. The first process is killed, and the second one continues."""
    options = ["encoder=tf_efficientnet_lite0", f"encoder_weights={weights}", f"out={out}"]
    command = [sys.executable, "-m", "debias", "audit", str(images / "images.csv")]
    command += ["target=target", "mask=mask", f"root={images}", *options]
    clock = time.perf_counter()
    with subprocess.Popen(command) as first:
        while first.poll() is None and len(kept(out)) < KILLED_AFTER:
            time.sleep(0.2)
        first.send_signal(signal.SIGKILL)
    before = kept(out)
    subprocess.run(command, check=True)
    wall, used = time.perf_counter() - clock, resource.getrusage(resource.RUSAGE_CHILDREN)
    twice = [name for name, written in before.items() if kept(out)[name] != written]
    page = (out / "audit.html").read_bytes()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    same = page == (out / "audit.html").read_bytes()
    record = json.loads((out / "audit.json").read_text())
    for name, seconds in record["seconds"].items():
        print(f"  {name:<28} {seconds:6.1f} s")
    count = sum(map(sum, record["images"].values()))
    print(
        f"audit of {count:,} images with {len(ENCODED)} cues of a network, killed after "
        f"{len(before)} steps: {used.ru_utime + used.ru_stime:.0f} s of processor, {wall:.0f} s of "
        f"wall (bar: at most {CUE_BAR_SECONDS} s for {CUE_IMAGES:,} images on two idle cores); "
        f"steps computed twice: {len(twice)}; a third audit writes the same page: {same}"
    )


def kept(out: Path) -> dict[str, int]:
    """Time at which each kept step was written."""
    return {path.name: os.stat(path).st_mtime_ns for path in (out / "steps").glob("*.npz")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?")
    parser.add_argument("options", nargs="*", default=[])
    parser.add_argument("--images", type=int)
    parser.add_argument("--weights", help="file of tf_efficientnet_lite0: audits with all cues")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        images, out = Path(temporary) / "images", Path(temporary) / "audit"
        if given.source:
            time_audit(given.source, [*given.options, f"out={out}"], "")
        elif given.weights:
            write_images(images, given.images or CUE_IMAGES)
            time_cues(images, given.weights, out)
        else:
            write_images(images, given.images or IMAGES)
            bar = f" (bar: at most {BAR_SECONDS} s on two idle cores)"
            options = ["target=target", f"root={images}", f"out={out}"]
            time_audit(str(images / "images.csv"), options, bar)


if __name__ == "__main__":
    main()
