"""Predictions of anybody's model: a CSV file with targets, a bias, scores or decisions."""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError, shortened, shown
from debias.reports.classes import aligned_pairs
from debias.reports.numbered_values import numbered_values
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
Columns = Mapping[str, Sequence[str]]


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
    columns = read_columns(path, bias=bias)
    # with a column of its own for the class, others may be called target_...
    several = (
        [name for name in columns if name.startswith("target_")] if "target" not in columns else []
    )
    labels = [name.removeprefix("target_") for name in several]
    prefix = next(
        (prefix for prefix in SCORES if any(name.startswith(prefix) for name in columns)), ""
    )
    outputs = labels or _classes(path, columns, prefix)
    biases = values_of(
        columns if train is None else _joined(columns, read_columns(train, bias=bias)), "bias", path
    )
    names = [name for label in labels for name in (f"not {label}", label)] or outputs
    bare = Groups(tuple(names), tuple(biases), multi_label=bool(labels))
    pairs = aligned_pairs(path, aligned, names, biases)
    groups = Groups(bare.target_names, bare.bias_names, pairs, bare.multi_label)
    scores = _scores(path, columns, prefix, outputs, multi_label=bool(labels))
    target, value = labels_of(path, columns, groups)
    paths = tuple(columns.get("path", [""] * len(value)))
    rows = Predictions(torch.arange(len(value)), paths, target, value, scores)
    return Foreign(rows, groups, bool(prefix))


def frequencies_of(path: Path, groups: Groups, *, bias: Sequence[str] = ()) -> Tensor:
    """``(groups.count,)`` rows of each group in a CSV file with ``target`` and ``bias``."""
    return groups.frequencies(*labels_of(path, read_columns(path, bias=bias), groups))


def read_columns(path: Path, *, bias: Sequence[str] = ()) -> dict[str, list[str]]:
    """Columns of a CSV file by the names in its first line, and ``bias`` from those that hold it,
    or all unknown.

    Raises:
        ValueError: no such file, no row, a row of another length than the header, or no such
            column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = csv.reader(file, skipinitialspace=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a CSV file") from None
    except (ValueError, csv.Error):
        raise InputError(f"{path}: empty, or no CSV file in UTF-8") from None
    while rows and not rows[-1]:
        rows.pop()
    _check_table(path, header, rows)
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    if not bias:
        return {"bias": [""] * len(rows)} | columns
    values = zip(*(_column(path, columns, name) for name in bias), strict=True)
    known = ("" if set(row) & set(UNKNOWN) else " & ".join(row) for row in values)
    return columns | {"bias": list(known)}


def _check_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise InputError(
            f"{path}: values must be separated by commas, and the header is "
            f"{shortened(repr(header[0]))}"
        )
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise InputError(f"{path}: column {repeated[0]!r} is there more than once")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {number}: {len(row)} values, but the header has {len(header)} "
                "columns"
            )
    if not rows:
        raise InputError(f"{path}: a header and no row")


def labels_of(path: Path, columns: Columns, groups: Groups) -> tuple[Tensor, Tensor]:
    """Targets and biases of a file as the groups number them.

    Raises:
        ValueError: no such column, a value that is neither a name nor a number of a class, or one
            that may be both.
    """
    bias = _numbered(path, columns, "bias", groups.bias_names, unknown=True)
    if not groups.multi_label:
        return (
            _numbered(path, columns, "target", _targets(path, columns, groups.target_names)),
            bias,
        )
    names = [f"target_{name}" for name in groups.target_names[1::2]]
    return torch.stack([_numbered(path, columns, name, ("0", "1")) for name in names], dim=1), bias


def _targets(path: Path, columns: Columns, names: Sequence[str]) -> Sequence[str]:
    """What a file calls the classes throughout: by their names, or by numbers from 0."""
    numbers = [str(place) for place in range(len(names))]
    found = set(_column(path, columns, "target"))
    if not found <= set(numbers):
        return names
    if NUMBERED in columns or not found <= set(names):
        return numbers
    if unclear := sorted(value for value in found if names.index(value) != int(value)):
        raise InputError(
            f"{path}: target {unclear[0]!r} may be the class of that name, or class number "
            f"{unclear[0]} of {shown(names)}: give the classes names that are no numbers, as in "
            f"logit_class{unclear[0]}"
        )
    return names


def values_of(columns: Columns, name: str, path: Path) -> list[str]:
    """The known values of a column: numbers from 0 on as many as there are, names in their order,
    or "unknown" alone.

    Raises:
        ValueError: there is no such column, or a number from ``MOST_VALUES`` on.
    """
    found = set(_column(path, columns, name)) - set(UNKNOWN)
    if not found:
        return ["unknown"]
    if all(value.isdecimal() for value in found):
        return numbered_values(found, name, path)
    return sorted(found)


def _classes(path: Path, columns: Columns, prefix: str) -> list[str]:
    if prefix:
        names = [name.removeprefix(prefix) for name in columns if name.startswith(prefix)]
        named = not set(_column(path, columns, "target")) <= {
            "0",
            "1",
        }  # numbers are places among the columns
        return sorted(names) if named and len(names) == 2 else names
    targets, chosen = _column(path, columns, "target"), _column(path, columns, "prediction")
    if strange := sorted(set(chosen) - set(targets)):
        warnings.warn(
            f"{path}: no image has the predicted target {strange[0]!r}: is it spelt so?",
            stacklevel=2,
        )
    return values_of({"class": [*targets, *chosen]}, "class", path)


def _scores(
    path: Path, columns: Columns, prefix: str, outputs: Sequence[str], *, multi_label: bool
) -> Tensor:
    """``(N, outputs)`` float32 logits; of decisions, 1 for what was chosen and -1 for all else."""
    if prefix:
        scores = torch.stack([_floats(path, columns, f"{prefix}{name}") for name in outputs], dim=1)
        if not multi_label and len(outputs) < 2:
            raise InputError(
                f"{path}: {prefix}<class> is wanted for every class, and only {outputs[0]!r} "
                "has one"
            )
        if prefix == SCORES[0]:
            return scores.float()
        if bool(((scores < 0) | (scores > 1)).any()):
            raise InputError(
                f"{path}: a probability lies outside [0, 1]; name scores logit_<class> instead"
            )
        wrong = ((scores.sum(dim=1) - 1).abs() > SLACK).nonzero().flatten().tolist()
        if wrong and not multi_label:
            raise InputError(
                f"{path}, line {wrong[0] + 2}: the probabilities of the classes do not add up to 1"
            )
        return (scores.logit() if multi_label else scores.log()).clamp(-1e4, 1e4).float()
    if multi_label:
        chosen = torch.stack(
            [_numbered(path, columns, f"prediction_{name}", ("0", "1")) for name in outputs], dim=1
        )
    else:
        classes = _numbered(path, columns, "prediction", outputs)
        # in place: of millions of images and a thousand classes, one such table is all that fits
        return torch.full((len(classes), len(outputs)), -1.0).scatter_(1, classes[:, None], 1.0)
    return 2.0 * chosen.float() - 1


def _numbered(
    path: Path, columns: Columns, name: str, names: Sequence[str], *, unknown: bool = False
) -> Tensor:
    places = dict.fromkeys(UNKNOWN, -1) if unknown else {}
    places |= {text: place for place, text in enumerate(names)}
    column = _column(path, columns, name)
    for line, value in enumerate(column, start=2):
        if value not in places:
            raise InputError(
                f"{path}, line {line}: {name} is {shortened(repr(value))}, which is none of "
                f"{shown(names, 10)}"
            )
    return torch.tensor([places[value] for value in column])


def _floats(path: Path, columns: Columns, name: str) -> Tensor:
    for line, value in enumerate(_column(path, columns, name), start=2):
        if not _is_number(value):
            raise InputError(
                f"{path}, line {line}: {name} is {shortened(repr(value))}, not a finite number"
            )
    return torch.tensor([float(value) for value in columns[name]], dtype=torch.float64)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _column(path: Path, columns: Columns, name: str) -> Sequence[str]:
    if name not in columns:
        hint = "; name it, as in bias=gender" if name == "bias" else ""
        raise InputError(f"{path}: no column {name!r} among {shown(list(columns), 10)}{hint}")
    return columns[name]


def _joined(columns: Columns, others: Columns) -> dict[str, list[str]]:
    return {name: [*columns[name], *others.get(name, ())] for name in columns}
