"""Time of a sweep of short runs, two at a time, against a shell with ``debias train`` for each.

The commands that read a large sweep come first (``large_sweep.py``). ``--part`` chooses one.

The shell's side is ``xargs -P 2``, as a script without ``debias sweep`` would use. Both sides train
the same runs on pictures that are drawn and decoded before the clock starts. The median of the
pairs counts. ``--launcher ray`` uses a Ray cluster of one node with two CPUs, which is started
before the clock. Run by ``scripts/bench sweep``.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import large_sweep

BAR = 1.10
WORKERS = 2
DEBIAS = [sys.executable, "-m", "debias"]


def settings(folder: Path, out: Path) -> list[str]:
    sizes = [
        "data.train=160",
        "data.val=40",
        "data.test=40",
        "preprocessing.size=32",
        "batch_size=16",
        "epochs=2",
    ]
    return [
        *sizes,
        "precision=32-true",
        f"data.root={folder / 'birds'}",
        f"cache_dir={folder / 'cache'}",
        f"out={out}",
    ]


def shell(folder: Path, runs: int, out: Path) -> list[str]:
    train = [
        *DEBIAS,
        "train",
        "drawn_birds",
        *settings(folder, out),
        "progress=false",
        "seed={}",
    ]
    return ["bash", "-c", f"seq 0 {runs - 1} | xargs -P {WORKERS} -I '{{}}' {' '.join(train)}"]


def sweep(folder: Path, runs: int, out: Path, launcher: list[str]) -> list[str]:
    path = folder / "sweep.yaml"
    path.write_text(f"configs: [drawn_birds]\nseeds: {list(range(runs))}\n")
    return [
        *DEBIAS,
        "sweep",
        "run",
        str(path),
        *settings(folder, out),
        *launcher,
    ]


def started(launcher: str) -> list[str]:
    """The options of a launcher. Ray's cluster ends with this process."""
    if launcher == "local":
        return [f"workers={WORKERS}", "threads=1"]
    from ray.cluster_utils import Cluster

    head = {"num_cpus": WORKERS, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    return ["launcher=ray", f"address={cluster.address}"]


def seconds(command: list[str], out: Path, runs: int) -> float:
    begun = time.perf_counter()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    elapsed = time.perf_counter() - begun
    assert len(list(out.glob("*/report.json"))) == runs
    return elapsed


def measure_launcher(launcher: str, runs: int, pairs: int) -> None:
    """Print the ratio of a launcher to the shell."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = started(launcher)
        seconds(shell(folder, 1, folder / "warm-up"), folder / "warm-up", 1)
        times: dict[str, list[float]] = {"shell": [], "sweep": []}
        sides = [("shell", shell), ("sweep", partial(sweep, launcher=chosen))]
        for pair in range(pairs):
            for side, command in sides if pair % 2 else reversed(sides):  # each goes first in turn
                out = folder / f"{side}{pair}"
                times[side].append(seconds(command(folder, runs, out), out, runs))
    ratio = statistics.median(
        ours / bare for ours, bare in zip(times["sweep"], times["shell"], strict=True)
    )
    ours, bare = (statistics.median(times[side]) for side in ("sweep", "shell"))
    state = "passed" if ratio <= BAR else "FAILED"
    print(
        f"{runs} runs, {WORKERS} at a time, launcher {launcher}: sweep {ours:.1f} s, shell "
        f"{bare:.1f} s"
    )
    print(f"ratio {ratio:.2f}; bar {BAR}: {state}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("large", "launcher", "both"), default="both")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--launcher", choices=("local", "ray"), default="local")
    options = parser.parse_args()
    if options.part != "launcher":
        with tempfile.TemporaryDirectory() as name:
            for line in large_sweep.rows(Path(name)):
                print(line, flush=True)
    if options.part != "large":
        measure_launcher(options.launcher, options.runs, options.pairs)


if __name__ == "__main__":
    main()
