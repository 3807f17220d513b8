"""Used by the demonstrations: a sweep of short runs, its processes, and whether two are equal."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

DEBIAS = [sys.executable, "-m", "debias"]
SIZES = {
    "data.train": 80,
    "data.val": 40,
    "data.test": 40,
    "preprocessing.size": 32,
    "batch_size": 16,
}
SETTINGS = {
    **SIZES,
    "model.name": "test_resnet",
    "precision": "32-true",
    "accelerator": "cpu",
    "workers": 0,
}
GROUP_DRO = {"strategy.name": ["group_dro"], "sampler.name": ["group_balanced"]}


def write_sweep(out: Path, seeds: list[int], epochs: int) -> Path:
    """Empty a folder, and write a sweep of four settings with each seed, on the same images."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    path = out / "sweep.yaml"
    sweep = {
        "configs": ["drawn_birds", {"drawn_birds": GROUP_DRO}],
        "seeds": seeds,
        "grid": {"optimizer.lr": [0.001, 0.003]},
        "set": {**SETTINGS, "epochs": epochs, "data.root": str(out / "birds")},
    }
    path.write_text(json.dumps(sweep))  # JSON is YAML
    return path


def command(file: Path, out: Path | str, *options: str) -> list[str]:
    """The command of a sweep."""
    return [*DEBIAS, "sweep", "run", str(file), f"out={out}", *options]


def training(out: Path) -> dict[str, int]:
    """The process of each run that is in training."""
    processes = {}
    for log in sorted((out / "logs").glob("*.log")):
        begun = [line for line in log.read_text().splitlines() if line.startswith("process ")]
        process = int(begun[-1].split()[1]) if begun else None
        if process and alive(process) and not (out / log.stem / "report.json").is_file():
            processes[log.stem] = process
    return processes


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def printed(*command: str) -> str:
    """The standard output of a command."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def same_results(folder: Path, other: Path) -> bool:
    """Whether two sweeps have the same runs, the same figures to the last digit, and one table."""
    return _figures(folder) == _figures(other) and _table(folder) == _table(other)


def _figures(folder: Path) -> dict[str, object]:
    reports = {
        path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/report.json")
    }
    return {name: (report["metrics"], report["selection"]) for name, report in reports.items()}


def _table(folder: Path) -> list[list[str]]:
    """The rows of the comparison, without the last column, which is seconds per epoch."""
    lines = printed(*DEBIAS, "compare", str(folder), "--markdown").splitlines()
    return [line.split(" | ")[:-1] for line in lines if line.startswith("|")]
