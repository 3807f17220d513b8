"""Write and read the predictions of a split as CSV. They are enough for any metric."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from debias.csv_files import Columns, read_csv
from debias.errors import InputError
from debias.files import written_whole
from debias.reports.wording import PREDICT_AGAIN
from debias.types import Groups

#: Logits that are written at a time: their texts need 60 MB.
LOGITS = 1_000_000


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a model for the N images of a split, with their labels.

    Args:
        index: ``(N,)`` int64 rows in the data set, without repetition.
        paths: N image paths, relative to the root of the data.
        target: ``(N,)`` int64 class indices, or ``(N, L)`` int64 0/1 labels if multi-label.
        bias: ``(N,)`` int64 bias labels; -1 means unknown.
        logits: ``(N, outputs)`` float32 logits.
        probabilities: ``(N, outputs)`` float64 probabilities, if a file gives these and no logits.
    """

    index: Tensor
    paths: tuple[str, ...]
    target: Tensor
    bias: Tensor
    logits: Tensor
    probabilities: Tensor | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def prediction(self, groups: Groups) -> Tensor:
        """Predicted classes ``(N,)`` of the logits, or 0/1 labels ``(N, L)`` if multi-label."""
        return groups.predict(self.logits)


def write(path: Path, predictions: Predictions, groups: Groups) -> None:
    """Write predictions as CSV, sorted by index. The file appears whole or not at all.

    The columns are ``index, path, target, bias, prediction, logit_<class>...``. For multi-label
    targets, ``target``, ``prediction`` and ``logit`` have one column per label, as in
    ``target_<label>``. With several bias attributes, ``combination`` has the name of the bias
    value, and ``bias_<attribute>`` that of the value of each attribute; they are empty if the bias
    is unknown. Logits have nine significant digits, which is exact for float32.

    Args:
        path: the file to write.
        predictions: the predictions, in any order.
        groups: numbering and names of the classes or labels.

    Raises:
        ValueError: the fields have different lengths, there is not one logit per output, or an
            index occurs twice.
    """
    _check(predictions, groups)
    order = predictions.index.cpu().argsort()
    sorted_rows = Predictions(
        predictions.index.cpu()[order],
        tuple(predictions.paths[row] for row in order.tolist()),
        predictions.target.cpu()[order],
        predictions.bias.cpu()[order],
        predictions.logits.detach().cpu()[order],
    )
    step = max(1, LOGITS // max(1, groups.outputs))
    with written_whole(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_header(groups))
        for start in range(0, len(order), step):
            table.writerows(_rows(sorted_rows, slice(start, start + step), groups))


def _rows(predictions: Predictions, rows: slice, groups: Groups) -> Iterator[tuple[object, ...]]:
    """The cells of some rows."""
    logits = predictions.logits[rows]
    integers = [predictions.index, predictions.target, predictions.bias]
    index, target, bias = (_columns(values[rows]) for values in integers)
    prediction = _columns(groups.predict(logits))
    names = _bias_names(predictions.bias[rows], groups)
    decimals = [["%.9g" % value for value in column] for column in _columns(logits.float())]  # noqa: UP031 - twice as fast as format
    paths = predictions.paths[rows]
    return zip(*index, paths, *target, *bias, *names, *prediction, *decimals, strict=True)


def read(path: Path) -> Predictions:
    """Read predictions that :func:`write` has written. The logits are exactly those written.

    Raises:
        ValueError: the file does not exist, a column is missing, a row has another length than the
            header, or a value is not a number.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {PREDICT_AGAIN}")
    try:
        return _predictions(read_csv(path, exact=True))
    except InputError as error:
        raise InputError(f"{error}; {PREDICT_AGAIN}") from None


def _predictions(columns: Columns) -> Predictions:
    def integers(*names: str) -> Tensor:
        """Read K columns into an ``(N, K)`` tensor of integers."""
        return torch.stack([columns.integers(name) for name in names], dim=1)

    targets, scores = columns.starting("target_"), columns.starting("logit_")
    single = "target" in columns.cells
    if not (single or targets):
        columns.column("target", "; or target_<label> of several labels")
    if not scores:
        columns.column("logit_<class>")
    # rounding twice, from decimal to float64 to float32, is exact: numbers of nine digits are far
    # from the midpoints between float32 values
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
    biases = ["bias"]
    if groups.attributes:
        biases += ["combination", *(f"bias_{attribute.name}" for attribute in groups.attributes)]
    if not groups.multi_label:
        return ["index", "path", "target", *biases, "prediction", *logits]
    targets, predictions = (
        [f"{what}_{name}" for name in names] for what in ("target", "prediction")
    )
    return ["index", "path", *targets, *biases, *predictions, *logits]


def _bias_names(bias: Tensor, groups: Groups) -> list[list[str]]:
    """The columns with the names of the bias value and of its attributes; none without them."""
    if not groups.attributes:
        return []
    names = [groups.bias_names, *(attribute.values for attribute in groups.attributes)]
    columns = [bias, *groups.decode(bias).unbind(dim=1)]
    return [
        [texts[value] if value >= 0 else "" for value in column.tolist()]
        for texts, column in zip(names, columns, strict=True)
    ]


def _check(predictions: Predictions, groups: Groups) -> None:
    fields = vars(predictions).items()
    lengths = {name: len(column) for name, column in fields if column is not None}
    if len(set(lengths.values())) > 1:
        raise InputError(f"predictions must have one entry per image in every field; got {lengths}")
    if predictions.logits.shape[1:] != (groups.outputs,):
        raise InputError(
            f"logits must have {groups.outputs} columns "
            f"({', '.join(_header(groups)[-groups.outputs :])}); got the shape "
            f"{tuple(predictions.logits.shape)}"
        )
    ordered = predictions.index.sort().values
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        row = int(repeated[0])
        raise InputError(
            f"row {row} was predicted twice. Remove the rows that a distributed sampler repeats"
        )


def _columns(values: Tensor) -> list[list[int | float]]:
    table = values if values.ndim == 2 else values[:, None]
    columns: list[list[int | float]] = table.T.tolist()
    return columns
