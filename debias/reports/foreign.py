"""Predictions of anybody's model: a CSV file with targets, a bias, scores or decisions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError, shortened, shown
from debias.reports.classes import aligned_pairs
from debias.reports.columns import Columns, read_columns
from debias.reports.predictions import Predictions
from debias.types import Groups

#: Prefixes of the columns that say what the model gave a class or label; the first that is there is
#: read.
SCORES = ("logit_", "probability_")
UNKNOWN = ("", "-1", "nan", "NaN", "NA", "None")
#: A column of the files that this project writes: targets are numbers there, whatever the classes
#: are called.
NUMBERED = "index"
#: By how much rounded probabilities may miss a sum of 1.
SLACK = 1e-2
#: Numbers of classes or bias values lie below this, since every one up to the greatest is counted
#: for.
MOST_VALUES = 100_000


class Foreign(NamedTuple):
    """Predictions, the groups of the file, and whether it has scores, not only decisions."""

    predictions: Predictions
    groups: Groups
    scored: bool


def read_foreign(
    path: Path,
    *,
    bias: Sequence[str] = (),
    aligned: Sequence[Sequence[str]] = (),
    train: Path | None = None,
) -> Foreign:
    """Read a CSV file with a header, a row an image.

    Columns: ``target`` and ``bias``; ``logit_<class>`` or ``probability_<class>`` for each class,
    or ``prediction``; ``path`` if wanted. Several labels: ``target_<label>`` of 0 and 1, and
    ``logit_<label>``, ``probability_<label>`` or ``prediction_<label>``. Classes and values of the
    bias are names, or numbers from 0; an unknown bias is -1 or empty. Unknown is also what pandas
    writes, as nan. Two classes that the targets name are in the order of the alphabet, so that the
    second, which is the positive one, is the same with scores and with decisions alone. Where the
    names of classes are numbers, a file with a column ``index``, as a run's own, holds their places
    among the columns. Other columns are left alone.

    Args:
        path: the file.
        bias: the column of the bias attribute; of several, every combination of their values is
            one, as in "man & old". Left out, it is ``bias``, and without such a column every bias
            is unknown.
        aligned: (target, bias) pairs that the shortcut favours, by name.
        train: a file whose ``bias`` column is to be readable in the same groups.

    Raises:
        ValueError: no such file, or a column or value that cannot be read; the message names it.
    """
    columns = _read_table(path, bias)
    # with a column of its own for the class, others may be called target_...
    several = columns.starting("target_") if "target" not in columns.cells else []
    labels = [name.removeprefix("target_") for name in several]
    prefix = next((prefix for prefix in SCORES if columns.starting(prefix)), "")
    outputs = labels or _classes(columns, prefix)
    labelled = [columns] if train is None else [columns, _read_table(train, bias)]
    biases = _values([value for file in labelled for value in file["bias"]], "bias", path)
    names = [name for label in labels for name in (f"not {label}", label)] or outputs
    pairs = aligned_pairs(path, aligned, names, biases)
    groups = Groups(tuple(names), tuple(biases), pairs, multi_label=bool(labels))
    scores = _scores(columns, prefix, outputs, multi_label=bool(labels))
    target, value = _labels(columns, groups)
    paths = tuple(columns.cells.get("path", [""] * len(value)))
    rows = Predictions(torch.arange(len(value)), paths, target, value, scores)
    return Foreign(rows, groups, bool(prefix))


def frequencies_of(path: Path, groups: Groups, *, bias: Sequence[str] = ()) -> Tensor:
    """``(groups.count,)`` rows of each group in a CSV file with ``target`` and ``bias``."""
    return groups.frequencies(*_labels(_read_table(path, bias), groups))


def _read_table(path: Path, bias: Sequence[str]) -> Columns:
    """The columns, with ``bias`` from those that hold it, or all unknown.

    Raises:
        InputError: the file cannot be read, has no row, or no such column.
    """
    columns = read_columns(path, skip_spaces=True)
    count = len(next(iter(columns.cells.values()), ()))
    if not count:
        raise InputError(f"{path}: a header and no row")
    known = columns.cells.get("bias", [""] * count)
    if bias:
        values = zip(*(columns[name] for name in bias), strict=True)
        known = ["" if set(row) & set(UNKNOWN) else " & ".join(row) for row in values]
    return Columns(path, {**columns.cells, "bias": known})


def _labels(columns: Columns, groups: Groups) -> tuple[Tensor, Tensor]:
    """Targets and biases of a file as the groups number them.

    Raises:
        InputError: no such column, a value that is neither a name nor a number of a class, or one
            that may be both.
    """
    bias = _numbered(columns, "bias", groups.bias_names, unknown=True)
    if not groups.multi_label:
        return _numbered(columns, "target", _targets(columns, groups.target_names)), bias
    return _binary(columns, "target_", groups.target_names[1::2]), bias


def _targets(columns: Columns, names: Sequence[str]) -> Sequence[str]:
    """What a file calls the classes throughout: by their names, or by numbers from 0."""
    numbers = [str(place) for place in range(len(names))]
    found = set(columns["target"])
    if not found <= set(numbers):
        return names
    if NUMBERED in columns.cells or not found <= set(names):
        return numbers
    if unclear := sorted(value for value in found if names.index(value) != int(value)):
        raise InputError(
            f"{columns.path}: target {unclear[0]!r} may be the class of that name, or class number "
            f"{unclear[0]} of {shown(names)}: give the classes names that are no numbers, as in "
            f"logit_class{unclear[0]}"
        )
    return names


def _values(cells: Collection[str], name: str, path: Path) -> list[str]:
    """The known values of a column: numbers from 0 on as many as there are, names in their order,
    or "unknown" alone.

    Raises:
        InputError: a number is ``MOST_VALUES`` or more.
    """
    found = set(cells) - set(UNKNOWN)
    if not found:
        return ["unknown"]
    if not all(value.isdecimal() for value in found):
        return sorted(found)
    # the first ten digits tell whether a number is too great, and int refuses thousands of them
    numbers = {int(value[:10]): value for value in found}
    if max(numbers) >= MOST_VALUES:
        greatest = numbers[max(numbers)][:20]
        raise InputError(
            f"{path}: {name} {greatest} is too great: number them from 0, below {MOST_VALUES:,}, "
            "or use names"
        )
    return [str(value) for value in range(max(numbers) + 1)]


def _classes(columns: Columns, prefix: str) -> list[str]:
    targets = columns["target"]
    if prefix:
        names = [name.removeprefix(prefix) for name in columns.starting(prefix)]
        named = not set(targets) <= {"0", "1"}  # numbers are places among the columns
        return sorted(names) if named and len(names) == 2 else names
    chosen = columns["prediction"]
    if strange := sorted(set(chosen) - set(targets)):
        warnings.warn(
            f"{columns.path}: no image has the predicted target {strange[0]!r}: is it spelt so?",
            stacklevel=2,
        )
    return _values([*targets, *chosen], "class", columns.path)


def _scores(columns: Columns, prefix: str, outputs: Sequence[str], *, multi_label: bool) -> Tensor:
    """``(N, outputs)`` float32 logits; of decisions, 1 for what was chosen and -1 for all else."""
    if not prefix and multi_label:
        return 2.0 * _binary(columns, "prediction_", outputs).float() - 1
    if not prefix:
        classes = _numbered(columns, "prediction", outputs)
        # in place: of millions of images and a thousand classes, one such table is all that fits
        return torch.full((len(classes), len(outputs)), -1.0).scatter_(1, classes[:, None], 1.0)
    cells = (columns.numbers(f"{prefix}{name}", _finite, "a finite number") for name in outputs)
    scores = torch.stack([torch.tensor(one, dtype=torch.float64) for one in cells], dim=1)
    if not multi_label and len(outputs) < 2:
        raise InputError(
            f"{columns.path}: {prefix}<class> is wanted for every class, and only {outputs[0]!r} "
            "has one"
        )
    if prefix == SCORES[0]:
        return scores.float()
    _check_probabilities(columns, scores, multi_label)
    return (scores.logit() if multi_label else scores.log()).clamp(-1e4, 1e4).float()


def _check_probabilities(columns: Columns, scores: Tensor, multi_label: bool) -> None:
    if bool(((scores < 0) | (scores > 1)).any()):
        raise InputError(
            f"{columns.path}: a probability lies outside [0, 1]; name scores logit_<class> instead"
        )
    wrong = ((scores.sum(dim=1) - 1).abs() > SLACK).nonzero().flatten().tolist()
    if wrong and not multi_label:
        raise columns.fault(wrong[0] + 2, "the probabilities of the classes do not add up to 1")


def _binary(columns: Columns, prefix: str, labels: Sequence[str]) -> Tensor:
    """``(N, labels)`` values of columns of 0 and 1."""
    found = [_numbered(columns, f"{prefix}{label}", ("0", "1")) for label in labels]
    return torch.stack(found, dim=1)


def _numbered(
    columns: Columns, name: str, names: Sequence[str], *, unknown: bool = False
) -> Tensor:
    places = dict.fromkeys(UNKNOWN, -1) if unknown else {}
    places |= {text: place for place, text in enumerate(names)}
    for line, value in enumerate(columns[name], start=2):
        if value not in places:
            text = f"{name} is {shortened(repr(value))}, which is none of {shown(names, 10)}"
            raise columns.fault(line, text)
    return torch.tensor([places[value] for value in columns[name]])


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
