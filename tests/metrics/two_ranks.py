"""Two gloo processes hold some samples each, for tests that compare them with one process.

A test module defines ``on_rank(rank)``, a dictionary for JSON of what a process finds, and takes
the fixture ``ranks``. A process is ``python -m tests.metrics.two_ranks MODULE RANK RENDEZVOUS
RESULT``; it does everything that the module asks for, since starting the processes is what takes
the time.
"""

import json
import subprocess
import sys
import warnings
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import torch
from torch import distributed
from torchmetrics import Metric


def found_by_both(module: str, folder: Path) -> list[dict]:
    """What ``on_rank`` of a module returned in each of two processes."""
    start = [sys.executable, "-m", "tests.metrics.two_ranks", module]
    files = [folder / "0.json", folder / "1.json"]
    commands = [
        [*start, str(rank), f"file://{folder}/rendezvous", str(files[rank])] for rank in (0, 1)
    ]
    root = Path(__file__).resolve().parents[2]
    processes = [
        subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [json.loads(file.read_text()) for file in files]


def refusal(metric: Metric) -> str:
    """What this process says of what it, or the other one, was fed."""
    try:
        metric.compute()
    except ValueError as error:
        return str(error)
    return "accepted"


def main(module: str, rank: int, rendezvous: str, result: Path) -> None:
    torch.set_num_threads(1)
    # a process that saw no batch is what is tested here
    warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
    distributed.init_process_group(
        "gloo", init_method=rendezvous, rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    result.write_text(json.dumps(import_module(module).on_rank(rank)))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
