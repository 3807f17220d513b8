"""Small made-up runs: records and predictions with numbers that are easy to check by hand."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from debias.json_files import plain
from debias.reports.galleries import Views
from debias.reports.page import render_report
from debias.reports.predictions import Predictions
from debias.reports.record import Report, report_of

NAMES = ("landbird-land", "landbird-water", "waterbird-land", "waterbird-water")
ACCURACIES = (0.95, 0.88, 0.712, 0.9)
COUNTS = (2255, 2255, 642, 642)
INTERVALS = ((0.94, 0.958), (0.866, 0.893), (0.676, 0.746), (0.874, 0.921))


def scalars(
    accuracies: Sequence[float | None] = ACCURACIES, names: Sequence[str] = NAMES
) -> dict[str, float]:
    """Scalar metrics, consistent where the page needs it: worst group, average and gaps."""
    defined = [accuracy for accuracy in accuracies if accuracy is not None] or [math.nan]
    worst, average = min(defined), 0.882
    fixed = {
        "average": average,
        "adjusted_average": 0.913,
        "worst_group": worst,
        "worst_class": 0.806,
    }
    fixed |= {
        "group_balanced": sum(defined) / len(defined),
        "class_balanced": 0.86,
        "gap": max(defined) - worst,
    }
    fixed |= {"class_difference": 0.108}
    fixed |= {"robustness_gap": average - worst, "bias_aligned": 0.925, "bias_conflicting": 0.796}
    fixed |= {"bias_aligned_samples": 0.939, "bias_conflicting_samples": 0.843}
    each = {
        f"accuracy/{name}": math.nan if a is None else a
        for name, a in zip(names, accuracies, strict=True)
    }
    return fixed | each


def split_report(
    accuracies: Sequence[float | None] = ACCURACIES, names: Sequence[str] = NAMES
) -> dict[str, Any]:
    """REPORT of one split."""
    columns = zip(names, accuracies, COUNTS, INTERVALS, strict=True)
    groups = [
        _group(name, accuracy, count, interval) for name, accuracy, count, interval in columns
    ]
    return {
        "scalars": scalars(accuracies, names),
        "intervals": {"worst_group": [0.64, 0.781]},
        "groups": groups,
    }


def _group(
    name: str, accuracy: float | None, count: int, interval: tuple[float, float]
) -> dict[str, Any]:
    if accuracy is None:
        return {"name": name, "accuracy": math.nan, "count": 0, "low": 0.0, "high": 1.0}
    return {
        "name": name,
        "accuracy": accuracy,
        "count": count,
        "low": interval[0],
        "high": interval[1],
    }


def group_weights(epoch: int, names: Sequence[str]) -> dict[str, float]:
    return {f"group_weight/{name}": 0.25 + 0.02 * epoch * (i - 1.5) for i, name in enumerate(names)}


def sample_report(
    *,
    strategy: str = "group_dro",
    seed: int = 0,
    epochs: int = 4,
    accuracies: Sequence[float | None] = ACCURACIES,
    targets: Sequence[str] = ("landbird", "waterbird"),
    biases: Sequence[str] = ("land", "water"),
    config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a run on four groups, as training would hand it to ``write_report``."""
    names = [f"{target}-{bias}" for target in targets for bias in biases]
    grown = [
        [None if a is None else a * (epoch + 3) / (epochs + 2) for a in accuracies]
        for epoch in range(epochs)
    ]
    history = [
        {
            "epoch": epoch,
            "seconds": 9.7,
            "val": scalars(grown[epoch], names),
            "train": {"loss": 0.7 / (epoch + 1)} | group_weights(epoch, names),
        }
        for epoch in range(epochs)
    ]
    table = [
        {
            "rule": rule,
            "epoch": epoch,
            "value": history[epoch]["val"][metric],
            "val": history[epoch]["val"],
        }
        for rule, metric, epoch in (
            ("worst_group", "worst_group", epochs - 1),
            ("worst_class", "worst_class", 0),
            ("average", "average", 0),
            ("balanced", "group_balanced", epochs - 1),
            ("class_difference", "class_difference", 0),
        )
    ]
    settings = {
        "name": f"waterbirds/{strategy}",
        "seed": seed,
        "epochs": epochs,
        "strategy": {"name": strategy},
    }
    return {
        "schema": 1,
        "name": f"waterbirds-{strategy}-seed{seed}-1a2b3c4d",
        "config": settings | (config or {}),
        "data": {
            "name": "waterbirds", "targets": list(targets), "biases": list(biases),
            "aligned": [[0, 0], [1, 1]], "multi_label": False, "groups": names,
            "counts": {
                "train": [3498, 184, 56, 1057], "val": [467, 466, 133, 133], "test": list(COUNTS),
            },
        },
        "model": {"name": "tf_efficientnet_lite0", "parameters": 3373570, "weights": "pretrained"},
        "strategy": {"name": strategy, "requires": ["bias"], "group_labels": "train+val"},
        "selection": {"rule": "worst_group", "epoch": epochs - 1, "table": table},
        "history": history,
        "metrics": {split: split_report(accuracies, names) for split in ("val", "test")},
        "seed": seed, "precision": "bf16-mixed", "device": "cpu (2 threads)",
        "seconds": {"train": 80.2, "epoch": 9.7 + seed, "total": 95.0}, "peak_memory_mb": 1812,
        "versions": {"debias": "0.1.0", "torch": "2.13.0"},
        "git": {"commit": "abc1234", "dirty": True},
    }  # fmt: skip


def typed_report(entries: dict[str, Any]) -> Report:
    """A record as it is read."""
    return report_of(plain(entries), Path("run"))


def html_of(
    entries: dict[str, Any], predictions: Predictions | None = None, *pictures: Any, **more: Any
) -> str:
    """The page of a record."""
    views = None if predictions is None else Views(predictions, *pictures, **more)
    return render_report(typed_report(entries), views)


def sample_predictions() -> Predictions:
    """Eight test images, rows 10 to 17: of waterbird-land (the worst) 12, 13, 14, 16 are wrong.

    Their margins towards landbird are 1, 40, 3 and 50, so the order is 16, 13, 14, 12; 13 and 16
    are both at probability 1 in float32.
    """
    margins = [5.0, -2.0, 1.0, 40.0, 3.0, -1.0, 50.0, -4.0]
    target = torch.tensor([0, 1, 1, 1, 1, 1, 1, 0])
    bias = torch.tensor([0, 1, 0, 0, 0, 0, 0, 1])
    logits = torch.tensor([[margin, 0.0] for margin in margins])
    return Predictions(
        torch.arange(10, 18),
        tuple(f"birds/{row}.jpg" for row in range(10, 18)),
        target,
        bias,
        logits,
    )


def finished_run(folder: Path, report: dict[str, Any]) -> Path:
    """A run folder with a config, a record and an empty page: to draw one takes a while."""
    started_run(folder)
    (folder / "report.html").touch()
    (folder / "report.json").write_text(json.dumps(plain(report)), encoding="utf-8")
    return folder


def started_run(folder: Path) -> Path:
    """A run folder as it is while training goes on."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    return folder


def random_logits(rows: int, outputs: int) -> Tensor:
    """Float32 values of every size, from random bits; never NaN."""
    bits = torch.randint(
        -(2**31), 2**31 - 1, (rows, outputs), generator=torch.Generator().manual_seed(0)
    )
    values = bits.to(torch.int32).view(torch.float32)
    return torch.where(values.isnan(), 0.0, values)
