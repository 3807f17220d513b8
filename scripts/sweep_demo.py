"""Compares a repeatedly killed sweep of twelve short runs with an undisturbed one.

At random moments SIGKILL goes to a process that trains a run, or to the launcher, whose workers
then end. After the launcher was killed, the same command is started again. In the end all reports
and tables must equal those of the undisturbed sweep, to the last digit. Run by
``scripts/sweep_demo``.
"""

import argparse
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from demo_sweep import command, same_results, training, write_sweep

RUNS, WORKERS = 12, 2
OPTIONS = (f"workers={WORKERS}", "threads=1", "retries=9")


class Demo:
    """The disturbed sweep and its launcher."""

    def __init__(self, file: Path, out: Path, draw: random.Random) -> None:
        self.file, self.out, self.draw = file, out, draw
        self.launcher = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command of the sweep."""
        return subprocess.Popen(command(self.file, self.out, *OPTIONS))

    def kill_something(self) -> None:
        """Wait until runs are in training, then a random time; kill one of them or the launcher."""
        while len(training(self.out)) < WORKERS:
            if self.launcher.poll() is not None:
                raise SystemExit("the sweep ended before all kills: give more --epochs")
            time.sleep(0.1)
        time.sleep(self.draw.uniform(0, 5))
        runs = training(self.out)
        victim = self.draw.choice([*runs, "launcher"])
        done = len(list(self.out.glob("*/report.json")))
        print(f"== SIGKILL with {done} of {RUNS} runs done: {victim}", flush=True)
        os.kill(runs.get(victim, self.launcher.pid), signal.SIGKILL)
        if victim == "launcher":
            self.launcher.wait()
            self.launcher = self.start()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")
    parser.add_argument(
        "--epochs", type=int, default=40, help="enough that the sweep takes longer than the kills"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/sweep_demo"), help="folder; emptied first"
    )
    arguments = parser.parse_args()
    file = write_sweep(arguments.out, [0, 1, 2], arguments.epochs)
    disturbed, alone = arguments.out / "disturbed", arguments.out / "undisturbed"
    demo = Demo(file, disturbed, random.Random(arguments.seed))
    for _ in range(arguments.kills):
        demo.kill_something()
    assert demo.launcher.wait() == 0
    print("== undisturbed", flush=True)
    subprocess.run(command(file, alone, *OPTIONS), check=True)
    same = same_results(disturbed, alone)
    print(
        f"{RUNS} runs, {arguments.kills} times SIGKILL: "
        f"{'the same figures and table' if same else 'DIFFERENT'}"
    )
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
