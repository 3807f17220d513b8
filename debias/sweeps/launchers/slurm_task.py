"""One task of a Slurm job array: ``python -m debias.sweeps.launchers.slurm_task LISTING``."""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from debias import components
from debias import config as configs
from debias.files import write_atomically
from debias.sweeps.launchers.worker import BUSY, Train, attempt
from debias.sweeps.plan import PlannedRun

#: Attempts to acquire a run's lock, one per second: a status query may hold it for a moment.
TRIES = 10


def write_listing(path: Path, runs: Sequence[PlannedRun], train: Train, threads: int) -> None:
    """Write the listing of a job array: the runs that its tasks train.

    Args:
        path: the file to write, in a folder that every node sees.
        runs: the runs, in the order of the tasks.
        train: the function that trains one run. Each task imports it from its module.
        threads: number of threads of PyTorch.
    """
    trainer = f"{train.__module__}:{train.__qualname__}"  # type: ignore[attr-defined]
    entries = [
        {"name": run.name, "source": run.source, "overrides": run.overrides}
        | {"config": configs.plain(run.config)}
        for run in runs
    ]
    listing = {"train": trainer, "threads": threads, "runs": entries}
    write_atomically(path, json.dumps(listing, indent=1) + "\n")


def names(path: Path) -> list[str]:
    """Read the names of the runs in a listing, in the order of the tasks."""
    return [entry["name"] for entry in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def perform(path: Path, index: int) -> None:
    """Train the run of a listing with this index, unless it is done.

    The exit codes are those of ``debias.sweeps.launchers.worker``.
    """
    listing = json.loads(path.read_text(encoding="utf-8"))
    entry = listing["runs"][index]
    run = PlannedRun(
        entry["source"], tuple(entry["overrides"]), configs.from_plain(entry["config"])
    )
    train: Train = components.imported(listing["train"])
    for again in reversed(range(TRIES)):
        try:
            return attempt(run, train, listing["threads"], 0)
        except SystemExit as end:
            if end.code != BUSY or not again:
                raise
        time.sleep(1)


if __name__ == "__main__":
    perform(Path(sys.argv[1]), int(os.environ["SLURM_ARRAY_TASK_ID"]))
