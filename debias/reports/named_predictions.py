"""Write predictions with the names of classes and bias values, for readers outside the run."""

import csv
import io
from pathlib import Path

from torch import Tensor

from debias.files import write_atomically
from debias.reports.predictions import Predictions, write
from debias.types import Groups


def write_named(
    path: Path, predictions: Predictions, groups: Groups, *, scored: bool = True
) -> None:
    """Write one row per image: path, target, bias, prediction, and the score of each class.

    `debias evaluate FILE.csv` reads such a file (:func:`debias.reports.foreign.read_foreign`).
    With several labels, the file has numbers, as that of a run.

    Args:
        path: the file to write. It appears whole or not at all.
        predictions: the predictions.
        groups: names of the classes and bias values.
        scored: whether the logits are scores. Otherwise they are left out.
    """
    if groups.multi_label:
        write(path, predictions, groups)
        return
    logits = predictions.logits.tolist() if scored else [[]] * len(predictions)
    columns = (
        predictions.paths,
        _names(predictions.target, groups.target_names),
        _names(predictions.bias, (*groups.bias_names, "")),  # -1 is unknown, an empty cell
        _names(predictions.prediction(groups), groups.target_names),
    )
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    scores = [f"logit_{name}" for name in groups.target_names] if scored else []
    table.writerow(["path", "target", "bias", "prediction", *scores])
    for *names, values in zip(*columns, logits, strict=True):
        table.writerow([*names, *(f"{value:.6g}" for value in values)])
    write_atomically(path, text.getvalue())


def _names(values: Tensor, names: tuple[str, ...]) -> list[str]:
    return [names[value] for value in values.tolist()]
