"""Processor time and memory of the commands that read a large sweep, without training.

``debias sweep plan`` of 5,000 runs, and ``debias compare`` and ``debias sweep report`` of 1,000
finished runs: 200 settings with five seeds each. Their records are made: 30 epochs, four groups,
as many numbers as those of Waterbirds, and no predictions. Processor time changes less than the
time on the clock when other programs run. Used by ``scripts/bench sweep``.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from debias import config as configs
from debias.sweeps.files import write_plan
from debias.sweeps.plan import PlannedRun, plan

STRATEGIES = [
    *("erm", "group_dro", "focal", "ldam", "vrex"),
    *("irm", "rubi", "learned_mixin", "spectral_decoupling", "end"),
]
GROUPS = ["landbird-land", "landbird-water", "waterbird-land", "waterbird-water"]
COUNTS = {
    "train": [3498, 184, 56, 1057],
    "val": [467, 466, 133, 133],
    "test": [2255, 2255, 642, 642],
}
SCALARS = [
    *("average", "adjusted_average", "worst_group", "worst_class", "group_balanced"),
    *("class_balanced", "class_difference", "gap", "robustness_gap", "greatest_deviation"),
    *("group_ratio", "bias_aligned", "bias_aligned_samples", "bias_conflicting"),
    *("bias_conflicting_samples", *(f"accuracy/{group}" for group in GROUPS)),
]
EPOCHS, MEASURES = 30, 150


class Row(NamedTuple):
    """What is measured, with the bars in seconds of the processor, and in megabytes."""

    title: str
    arguments: list[str]
    seconds: float
    megabytes: float | None = None


def rows(folder: Path) -> Iterator[str]:
    """Write the sweeps into a folder, and give a line for each command."""
    large = _sweep(folder / "plan.yaml", decays=10)
    finished = plan(_sweep(folder / "finished.yaml", decays=2))
    write_plan(finished)
    for run in finished.runs:
        _finish(run)
    runs = str(finished.out)
    yield from map(
        _line,
        (
            Row("plan of 5,000 runs", ["sweep", "plan", str(large)], 15),
            Row("compare 1,000 runs", ["compare", runs], 3),
            Row("report of 1,000 runs", ["sweep", "report", runs], 6, 150),
            Row("page of 1,000 runs", ["sweep", "report", runs, "format=html"], 6, 150),
        ),
    )


def _sweep(path: Path, decays: int) -> Path:
    grid = {
        "optimizer.lr": [1e-4 * step for step in range(1, 11)],
        "optimizer.weight_decay": [1e-4 * step for step in range(1, decays + 1)],
    }
    sweep = {
        "configs": [{"waterbirds": {"strategy.name": STRATEGIES}}],
        "seeds": list(range(5)),
        "grid": grid,
        "set": {"data.root": str(path.parent)},
        "out": str(path.with_suffix("")),
    }
    path.write_text(json.dumps(sweep))  # JSON is YAML
    return path


def _line(row: Row) -> str:
    command = [sys.executable, "-m", "debias", *row.arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, row.title
    seconds, megabytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    passed = seconds <= row.seconds and megabytes <= (row.megabytes or megabytes)
    bars = f"{row.seconds} s" + (f", {row.megabytes} MB" if row.megabytes else "")
    state = "passed" if passed else "FAILED"
    return f"{row.title}: {seconds:.1f} s, {megabytes:.0f} MB; bar {bars}: {state}"


def _finish(run: PlannedRun) -> None:
    """Write the record of a run that looks finished, and an empty page."""
    run.folder.mkdir(parents=True)
    (run.folder / "report.html").touch()
    made = record(run, random.Random(run.name), epochs=EPOCHS, measures=MEASURES)
    (run.folder / "report.json").write_text(json.dumps(made, indent=1))


def record(run: PlannedRun, rng: random.Random, *, epochs: int, measures: int) -> dict[str, Any]:
    """The entries of a report, with random numbers."""
    name = run.config.strategy["name"]
    history = [
        {"epoch": epoch, "seconds": 9.7, "train": {"loss": rng.random()}, "val": _scalars(rng)}
        for epoch in range(epochs)
    ]
    chosen = {"rule": "worst_group", "epoch": epochs - 1, "val": history[-1]["val"]}
    return {
        "schema": 1,
        "name": run.name,
        "config": configs.plain(run.config),
        "data": {
            "name": "waterbirds",
            "targets": ["landbird", "waterbird"],
            "biases": ["land", "water"],
            "aligned": [[0, 0], [1, 1]],
            "multi_label": False,
            "groups": GROUPS,
            "counts": COUNTS,
            "digest": "a" * 64,
        },
        "model": {"name": "resnet50", "parameters": 23_512_130, "weights": "pretrained"},
        "strategy": {"name": name, "method": name, "group_labels": "train+val"},
        "selection": {**chosen, "table": [chosen | {"value": chosen["val"]["worst_group"]}]},
        "history": history,
        "metrics": {split: _split(split, rng) for split in ("train", "val", "test")},
        "measures": {"features": {f"measure/{place}": rng.random() for place in range(measures)}},
        "seed": run.config.seed,
        "precision": "32-true",
        "device": "cpu (2 threads)",
        "seconds": {"train": 80.2, "epoch": 9.7, "total": 95.0},
        "peak_memory_mb": 1812,
        "versions": {"debias": "0.1.0", "torch": "2.13.0"},
        "git": {"commit": "abc1234", "dirty": False},
    }


def _scalars(rng: random.Random) -> dict[str, float]:
    return {name: rng.random() for name in SCALARS}


def _split(name: str, rng: random.Random) -> dict[str, Any]:
    groups = [
        {"name": group, "accuracy": rng.random(), "count": count, "low": 0.1, "high": 0.9}
        for group, count in zip(GROUPS, COUNTS[name], strict=True)
    ]
    return {"scalars": _scalars(rng), "intervals": {"worst_group": [0.1, 0.9]}, "groups": groups}
