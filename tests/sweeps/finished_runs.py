"""Runs of a sweep that look finished: a record with chosen numbers, and predictions."""

import json
from collections.abc import Sequence
from typing import Any

import torch

from debias import config as configs
from debias.json_files import plain
from debias.reports.predictions import Predictions, write
from debias.sweeps.plan import PlannedRun
from tests.reports.sample_runs import sample_report, typed_report

#: Two images of each group, in the order of the groups.
TARGET = [0, 0, 0, 0, 1, 1, 1, 1]
BIAS = [0, 0, 1, 1, 0, 0, 1, 1]


def finish(
    run: PlannedRun,
    *,
    worst: float,
    right: Sequence[int] | None = None,
    bias: Sequence[int] = BIAS,
    first: int = 0,
    **changes: Any,
) -> None:
    """Write what a finished run leaves: its worst group at ``worst``, and predictions of images
    right or wrong.

    Args:
        run: of a sweep.
        worst: accuracy of the third group; the others have 0.95, 0.9 and 0.92.
        right: 0 or 1 for each of eight test images; ``None`` leaves no predictions.
        bias: bias value of each test image.
        first: row of the first test image in the data set.
        changes: to the record.
    """
    strategy = run.config.strategy["name"]
    accuracies = (0.95, 0.9, worst, 0.92)
    report = sample_report(
        strategy=strategy,
        seed=run.config.seed,
        accuracies=accuracies,
        config=configs.plain(run.config),
    )
    report["data"]["name"] = run.config.data["name"]
    run.folder.mkdir(parents=True)
    (run.folder / "report.html").touch()
    (run.folder / "report.json").write_text(json.dumps(plain(report | changes)))
    if right is not None:
        target = torch.tensor(TARGET)
        chosen = torch.where(torch.tensor(right) > 0, target, 1 - target)
        logits = torch.nn.functional.one_hot(chosen, 2).float()
        index = torch.arange(first, first + 8)
        paths = tuple(f"{row}.jpg" for row in index.tolist())
        rows = Predictions(index, paths, target, torch.tensor(bias), logits)
        write(run.folder / "predictions" / "test.csv", rows, typed_report(report).groups)
