"""A split's predictions as a table: every metric can be recomputed from it, without the model."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from debias.csv_files import Columns, read_csv
from debias.errors import InputError
from debias.files import write_atomically
from debias.types import Groups

REMEDY = "write it again with `debias evaluate RUN`"


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said of each image of a split.

    Args:
        index: ``(N,)`` int64 row in the data set, each at most once.
        paths: N image paths, relative to the data's root.
        target: ``(N,)`` int64 class index, or ``(N, L)`` int64 0/1 when multi-label.
        bias: ``(N,)`` int64 bias attribute, -1 where unknown.
        logits: ``(N, outputs)`` float32.
    """

    index: Tensor
    paths: tuple[str, ...]
    target: Tensor
    bias: Tensor
    logits: Tensor

    def __len__(self) -> int:
        return len(self.paths)

    def prediction(self, groups: Groups) -> Tensor:
        """What the logits choose: ``(N,)`` classes, or ``(N, L)`` 0/1 labels when multi-label."""
        return groups.predict(self.logits)


def write(path: Path, predictions: Predictions, groups: Groups) -> None:
    """Write predictions as CSV, sorted by index; the file appears whole or not at all.

    Columns: ``index, path, target, bias, prediction, logit_<class>...``; when multi-label,
    ``target``, ``prediction`` and ``logit`` have one column per label, as in ``target_<label>``.
    Logits have the nine significant digits that give every float32 back exactly.

    Args:
        path: the file to write.
        predictions: in any order.
        groups: numbering and names of the classes or labels.

    Raises:
        ValueError: the columns are not equally long, there is not one logit per output, or a row
            occurs twice.
    """
    _check(predictions, groups)
    order = predictions.index.cpu().argsort()
    integers = [
        predictions.index,
        predictions.target,
        predictions.bias,
        predictions.prediction(groups),
    ]
    index, target, bias, prediction = (_columns(values.cpu()[order]) for values in integers)
    logits = _columns(predictions.logits.detach().cpu().float()[order])
    paths = [predictions.paths[row] for row in order.tolist()]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_header(groups))
    decimals = [["%.9g" % value for value in column] for column in logits]  # noqa: UP031 - twice as fast as format
    table.writerows(zip(*index, paths, *target, *bias, *prediction, *decimals, strict=True))
    write_atomically(path, text.getvalue())


def read(path: Path) -> Predictions:
    """Read predictions that :func:`write` wrote; logits are bit for bit those that were written.

    Raises:
        ValueError: no such file, a missing column, a row of another length, or a value that is no
            number; the message names the file, the line and the remedy.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {REMEDY}")
    try:
        return _predictions(read_csv(path, exact=True))
    except InputError as error:
        raise InputError(f"{error}; {REMEDY}") from None


def _predictions(columns: Columns) -> Predictions:
    def integers(*names: str) -> Tensor:
        """``(N, K)`` values of K columns."""
        return torch.stack([columns.integers(name) for name in names], dim=1)

    targets, scores = columns.starting("target_"), columns.starting("logit_")
    single = "target" in columns.cells
    if not (single or targets):
        columns.column("target", "; or target_<label> of several labels")
    if not scores:
        columns.column("logit_<class>")
    # decimal to float64 to float32 is exact: nine digits lie far from where the second rounding
    # could turn
    logits = [columns.numbers(name, finite=False) for name in scores]
    return Predictions(
        index=integers("index").flatten(),
        paths=tuple(columns.column("path")),
        target=integers("target").flatten() if single else integers(*targets),
        bias=integers("bias").flatten(),
        logits=torch.stack([torch.from_numpy(one).float() for one in logits], dim=1),
    )


def _header(groups: Groups) -> list[str]:
    names = groups.target_names[1::2] if groups.multi_label else groups.target_names
    logits = [f"logit_{name}" for name in names]
    if not groups.multi_label:
        return ["index", "path", "target", "bias", "prediction", *logits]
    targets, predictions = (
        [f"{what}_{name}" for name in names] for what in ("target", "prediction")
    )
    return ["index", "path", *targets, "bias", *predictions, *logits]


def _check(predictions: Predictions, groups: Groups) -> None:
    lengths = {name: len(column) for name, column in vars(predictions).items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"predictions need one entry per image in every field; got {lengths}")
    if predictions.logits.shape[1:] != (groups.outputs,):
        raise InputError(
            f"logits are {tuple(predictions.logits.shape)}, but {groups.outputs} outputs are "
            f"named: {', '.join(_header(groups)[-groups.outputs :])}"
        )
    ordered = predictions.index.sort().values
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        row = int(repeated[0])
        raise InputError(
            f"row {row} was predicted twice; drop what a distributed sampler repeated before "
            "writing"
        )


def _columns(values: Tensor) -> list[list[int | float]]:
    table = values if values.ndim == 2 else values[:, None]
    columns: list[list[int | float]] = table.T.tolist()
    return columns
