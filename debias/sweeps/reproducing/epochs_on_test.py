"""The test accuracies of every epoch of a finished run, for papers that select the epoch by them.

They never select anything here. They are computed after the run, once.
"""

from pathlib import Path

import torch

from debias.evaluation.predictions import measure, predict_split
from debias.evaluation.saved import finished
from debias.files import write_atomically
from debias.json_files import json_text, read_json
from debias.models.checkpoints import load_weights
from debias.reports.predictions import read
from debias.reports.record import Report
from debias.reports.split import Scalars

FILE = "test_epochs.json"


def epochs_on_test(report: Report) -> list[Scalars]:
    """The test accuracies of each epoch, from the record, from ``FILE`` or from the checkpoints.

    The record has them if the validation split has the test images, because validation is measured
    after every epoch. Otherwise the run's folder needs the weights of every epoch (``keep_all``).
    They are then evaluated, and the result is written to ``FILE`` in the folder.

    Returns:
        One entry per epoch; none if weights are missing.

    Raises:
        ValueError: the data set or a checkpoint cannot be read.
    """
    if _validates_on_test(report.folder):
        return [epoch.val for epoch in report.history]
    path = report.folder / FILE
    if not path.is_file():
        weights = [_weights(report.folder, epoch) for epoch in range(len(report.history))]
        if not weights or not all(one.is_file() for one in weights):
            return []
        write_atomically(path, json_text(_evaluated(report.folder, weights)))
    entries: list[Scalars] = read_json(path, list, entries={}, remedy="delete it, and repeat")
    return entries


def _validates_on_test(folder: Path) -> bool:
    """Whether both splits have the same images, by their predictions at the selected epoch."""
    paths = [folder / "predictions" / f"{split}.csv" for split in ("val", "test")]
    if not all(path.is_file() for path in paths):
        return False
    val, test = map(read, paths)
    return torch.equal(val.logits, test.logits) and torch.equal(val.target, test.target)


def _evaluated(folder: Path, weights: list[Path]) -> list[Scalars]:
    parts, epochs = finished(folder), []
    for path in weights:
        load_weights(parts.module, path)
        rows = predict_split(parts, "test", progress=False)
        epochs.append(measure(rows, parts.examples)["scalars"])
    return epochs


def _weights(folder: Path, epoch: int) -> Path:
    return folder / "checkpoints" / f"epoch={epoch:03d}.ckpt"
