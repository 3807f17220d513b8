"""Predictions of anybody's model: a CSV file with targets, a bias, scores or decisions."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.csv_files import MOST_VALUES, UNKNOWN, Columns, read_csv
from debias.errors import InputError, shown
from debias.reports.classes import aligned_pairs
from debias.reports.predictions import Predictions
from debias.types import Groups

#: Prefixes of the columns that say what the model gave a class or label; the first that is there is
#: read.
SCORES = ("logit_", "probability_")
#: A column of the files that this project writes: targets are numbers there, whatever the classes
#: are called.
NUMBERED = "index"
#: By how much rounded probabilities may miss a sum of 1.
SLACK = 1e-2
NO_SCORES = "; scores are read from columns logit_<class> or probability_<class>, one per class"


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
    """Read a CSV file with a header and one row per image.

    Columns: ``target`` and ``bias``; ``logit_<class>`` or ``probability_<class>`` for each class,
    or ``prediction``; ``path`` if wanted. Several labels: ``target_<label>`` of 0 and 1, and
    ``logit_<label>``, ``probability_<label>`` or ``prediction_<label>``. Classes and values of the
    bias are names, or numbers from 0; an unknown bias is one of ``UNKNOWN``. Two classes that the
    targets name are in the order of the alphabet, so that the second, which is the positive one, is
    the same with scores and with decisions alone. Where the names of classes are numbers, a file
    with a column ``index``, as a run's own, holds their places among the columns. Other columns are
    left alone.

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
    columns = _read(path, bias)
    # with a column of its own for the class, others may be called target_...
    several = [] if "target" in columns.cells else columns.starting("target_")
    found = [name.removeprefix("target_") for name in several]
    prefix = next((prefix for prefix in SCORES if columns.starting(prefix)), "")
    outputs = found or _classes(columns, prefix)
    values = set(_biases(columns)) | set(() if train is None else _biases(_read(train, bias)))
    biases = _values(values, "bias", path)
    names = [name for label in found for name in (f"not {label}", label)] or outputs
    pairs = aligned_pairs(path, aligned, names, biases)
    groups = Groups(tuple(names), tuple(biases), pairs, multi_label=bool(found))
    scores = _scores(columns, prefix, outputs, multi_label=bool(found))
    target, value = _labels(columns, groups)
    paths = tuple(columns.cells.get("path", [""] * len(value)))
    rows = Predictions(torch.arange(len(value)), paths, target, value, scores)
    return Foreign(rows, groups, bool(prefix))


def frequencies_of(path: Path, groups: Groups, *, bias: Sequence[str] = ()) -> Tensor:
    """``(groups.count,)`` rows of each group in a CSV file with ``target`` and ``bias``.

    Raises:
        ValueError: as of :func:`read_foreign`, or a value that is no class or bias of the groups.
    """
    return groups.frequencies(*_labels(_read(path, bias), groups))


def _read(path: Path, bias: Sequence[str]) -> Columns:
    """All columns of a file; of the named attributes, their combinations as ``bias``."""
    columns = read_csv(path)
    if not bias:
        return columns
    hint = "; name a column of the file, as in bias=gender"
    rows = zip(*(columns.column(name, hint) for name in bias), strict=True)
    combined = ["" if set(row) & set(UNKNOWN) else " & ".join(row) for row in rows]
    return replace(columns, cells=columns.cells | {"bias": combined})


def _biases(columns: Columns) -> Sequence[str]:
    return columns.cells.get("bias", [""] * len(columns.lines))


def _labels(columns: Columns, groups: Groups) -> tuple[Tensor, Tensor]:
    """Targets and biases of a file as the groups number them."""
    known = {name: value for value, name in enumerate(groups.bias_names)}
    whole = replace(columns, cells=columns.cells | {"bias": _biases(columns)})
    bias = whole.choices("bias", known | {text: -1 for text in UNKNOWN if text not in known})
    if not groups.multi_label:
        names = _targets(columns, groups.target_names)
        return columns.choices("target", {name: value for value, name in enumerate(names)}), bias
    return _switches(columns, "target_", groups.target_names[1::2]), bias


def _switches(columns: Columns, prefix: str, labels: Sequence[str]) -> Tensor:
    """``(N, labels)`` of columns of 0 and 1."""
    found = [columns.choices(f"{prefix}{label}", {"0": 0, "1": 1}) for label in labels]
    return torch.stack(found, dim=1)


def _targets(columns: Columns, names: Sequence[str]) -> Sequence[str]:
    """What a file calls the classes throughout: by their names, or by numbers from 0."""
    numbers = [str(place) for place in range(len(names))]
    found = set(columns.column("target"))
    if not found <= set(numbers):
        return names
    if NUMBERED in columns.cells or not found <= set(names):
        return numbers
    if unclear := sorted(value for value in found if names.index(value) != int(value)):
        raise InputError(
            f"{columns.source}: target {unclear[0]!r} may be the class of that name, or class "
            f"number {unclear[0]} of {shown(names)}: give the classes names that are no numbers, "
            f"as in logit_class{unclear[0]}"
        )
    return names


def _values(found: Collection[str], name: str, path: Path) -> list[str]:
    """The known ones of some values: numbers from 0 to the greatest, names in their order, or
    "unknown" alone.
    """
    known = set(found) - set(UNKNOWN)
    if not all(value.isdecimal() for value in known):
        return sorted(known)
    # the first ten digits tell whether a number is too great, and int refuses thousands of them
    numbers = {int(value[:10]): value for value in known}
    if max(numbers, default=0) >= MOST_VALUES:
        raise InputError(
            f"{path}: {name} {numbers[max(numbers)][:20]} is too great: number them from 0, below "
            f"{MOST_VALUES:,}, or use names"
        )
    return [str(value) for value in range(max(numbers) + 1)] if known else ["unknown"]


def _classes(columns: Columns, prefix: str) -> list[str]:
    targets = columns.column("target")
    if prefix:
        names = [name.removeprefix(prefix) for name in columns.starting(prefix)]
        # targets of 0 and 1 are places among the columns
        return names if set(targets) <= {"0", "1"} or len(names) != 2 else sorted(names)
    chosen = columns.column("prediction", NO_SCORES)
    if strange := sorted(set(chosen) - set(targets)):
        warnings.warn(
            f"{columns.source}: no image has the predicted target {strange[0]!r}: is it spelt so?",
            stacklevel=2,
        )
    return _values({*targets, *chosen}, "class", columns.source)


def _scores(columns: Columns, prefix: str, outputs: Sequence[str], *, multi_label: bool) -> Tensor:
    """``(N, outputs)`` float32 logits; of decisions, 1 for what was chosen and -1 for all else."""
    if prefix:
        return _logits(columns, prefix, outputs, multi_label=multi_label)
    if multi_label:
        return 2.0 * _switches(columns, "prediction_", outputs).float() - 1
    classes = columns.choices("prediction", {name: value for value, name in enumerate(outputs)})
    # in place: of millions of images and a thousand classes, one such table is all that fits
    return torch.full((len(classes), len(outputs)), -1.0).scatter_(1, classes[:, None], 1.0)


def _logits(columns: Columns, prefix: str, outputs: Sequence[str], *, multi_label: bool) -> Tensor:
    found = [torch.from_numpy(columns.numbers(f"{prefix}{name}")) for name in outputs]
    scores = torch.stack(found, dim=1)
    if not multi_label and len(outputs) < 2:
        raise InputError(
            f"{columns.source}: {prefix}<class> is wanted for every class, and only "
            f"{outputs[0]!r} has one"
        )
    if prefix == SCORES[0]:
        return scores.float()
    if bool(((scores < 0) | (scores > 1)).any()):
        raise InputError(
            f"{columns.source}: a probability lies outside [0, 1]; name scores logit_<class> "
            "instead"
        )
    wrong = ((scores.sum(dim=1) - 1).abs() > SLACK).nonzero().flatten().tolist()
    if wrong and not multi_label:
        raise InputError(
            f"{columns.source}, line {columns.lines[wrong[0]]}: the probabilities of the classes "
            "do not add up to 1"
        )
    return (scores.logit() if multi_label else scores.log()).clamp(-1e4, 1e4).float()
