"""Processor seconds per step of published settings: a plain loop ÷ debias, or the authors' code.

Three settings are timed: IRM's Coloured MNIST, in steps on all 50,000 images, and ERM and LfF on
LfF's Coloured MNIST. The other side is a plain loop on tensors in memory, with the steps and the
evaluations of the authors' script (``plain_loops.py``). ``--official FOLDER`` runs the script
itself instead (``official_scripts.py``). FOLDER holds clones of the authors' repositories, in
folders of their names. Each side is its own process with one thread. Its time begins after the
first step, and ends with the last evaluation. Digits are random pixels, because their values do
not change the time. Sides take turns, and the median of the pairs counts. Run by
``scripts/bench published``.
"""

import argparse
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

BAR = 1.0


class Setting(NamedTuple):
    """A config, the overrides that shorten it, and the number of its steps."""

    config: str
    overrides: dict[str, object]
    steps: int


def settings(steps: int, epochs: int) -> dict[str, Setting]:
    full_batches = {"sampler.repeats": steps, "epochs": 1}
    passes = {"epochs": epochs, "data.skew": 0.01}
    return {
        "irm": Setting("irm_coloured_mnist/irm", full_batches, steps),
        "lff_erm": Setting("lff_coloured_mnist", passes, 235 * epochs),
        "lff": Setting("lff_coloured_mnist/lff", passes, 235 * epochs),
    }


def write_digits(folder: Path) -> None:
    """Write the four files of MNIST with random pixels and labels."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        labels = generator.integers(0, 10, count, np.uint8)
        pixels = generator.integers(0, 256, (count, 28, 28), np.uint8)
        for name, array in ((f"{part}-labels", labels), (f"{part}-images", pixels)):
            header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{name}-idx{array.ndim}-ubyte").write_bytes(header + array.tobytes())


def by_debias(setting: Setting, folder: Path) -> float:
    """Processor seconds of a training by debias, after its first step."""
    from pytorch_lightning import Callback

    import debias

    class Clock(Callback):
        started = ended = 0.0

        def on_train_batch_end(self, *_: Any) -> None:
            self.started = self.started or time.process_time()

        def on_train_end(self, *_: Any) -> None:
            self.ended = time.process_time()

    clock = Clock()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        given = {"data.root": folder, "cache_dir": folder / "cache", "accelerator": "cpu"}
        overrides = {**setting.overrides, **given, "out": out, "progress": False}
        debias.train(setting.config, overrides, callbacks=[clock])
    return clock.ended - clock.started


def side(name: str, table: str, options: argparse.Namespace) -> float:
    """Run one side in its own process. Returns its processor seconds per step."""
    command = [sys.executable, __file__, "--side", name, "--tables", table]
    for option in ("steps", "epochs", "folder", "official"):
        if (value := getattr(options, option)) is not None:
            command += [f"--{option}", str(value)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def run_side(options: argparse.Namespace) -> None:
    """Print the seconds per step of one side: the last word of the output."""
    import torch

    torch.set_num_threads(1)
    (table,) = options.tables
    setting = settings(options.steps, options.epochs)[table]
    if options.side == "debias":
        seconds = by_debias(setting, options.folder)
    elif options.side == "plain":
        import plain_loops

        seconds = plain_loops.seconds(table, setting.steps)
    else:
        import official_scripts

        seconds = official_scripts.seconds(table, setting.steps, options.official, options.folder)
    print(seconds / (setting.steps - 1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*settings(1, 1)]
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="steps on all images (irm)")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of 235 steps (lff)")
    parser.add_argument("--tables", nargs="+", choices=names, default=names)
    parser.add_argument("--official", type=Path, help="folder of the authors' repositories")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options)
        return
    other = "plain" if options.official is None else "official"
    with tempfile.TemporaryDirectory() as name:
        options.folder = Path(name)
        write_digits(options.folder)
        for table in options.tables:
            pairs = []
            for _ in range(options.pairs):
                pairs.append((side(other, table, options), side("debias", table, options)))
            theirs, ours = (1000 * statistics.median(each) for each in zip(*pairs, strict=True))
            ratio = statistics.median(their / own for their, own in pairs)
            state = "passed" if ratio >= BAR else "FAILED"
            print(
                f"{table}: {other} {theirs:.1f}, debias {ours:.1f} ms per step, ratio {ratio:.2f}; "
                f"bar {BAR}: {state}",
                flush=True,
            )


if __name__ == "__main__":
    main()
