"""Read predictions of other models from a CSV file: targets, bias labels, scores or decisions."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.csv_files import MOST_VALUES, UNKNOWN, Columns, read_csv
from debias.errors import InputError, near, shown
from debias.reports.classes import aligned_pairs
from debias.reports.predictions import Predictions
from debias.types import Attribute, Groups

#: Prefixes of the columns with the scores of a class or label. The first one in the file is used.
SCORES = ("logit_", "probability_")
#: A column of the files that debias writes. In such a file, targets are numbers, even if the class
#: names are numbers too.
NUMBERED = "index"
#: Largest difference from 1 of the sum of rounded probabilities.
SLACK = 1e-2
#: Largest logit of a probability, also of 0 or 1: probabilities are printed with fewer digits.
MOST_LOGIT = 20.0
#: Pairs of the names or numbers of a class and a bias value.
Named = Sequence[Sequence[str]]
NO_SCORES = ". Scores need one column per class, logit_<class> or probability_<class>"


class Foreign(NamedTuple):
    """The predictions of a CSV file.

    Attributes:
        predictions: one row per image.
        groups: the classes and bias values of the file.
        scored: whether the file has scores, not only decisions.
    """

    predictions: Predictions
    groups: Groups
    scored: bool


def read_foreign(
    path: Path,
    *,
    bias: Sequence[str] = (),
    aligned: Named | Mapping[str, Named] = (),
    train: Path | None = None,
) -> Foreign:
    """Read predictions from a CSV file with a header and one row per image.

    The columns are ``target``, ``bias``, and optionally ``path``. The scores are in
    ``logit_<class>`` or ``probability_<class>`` for each class; the single column ``prediction``
    can replace them. With several labels, the columns are ``target_<label>`` of 0 and 1, and
    ``logit_<label>``, ``probability_<label>`` or ``prediction_<label>``. Other columns are ignored.

    Classes and bias values are names, or numbers from 0. An unknown bias is one of ``UNKNOWN``. Two
    classes that the targets give by name are in alphabetical order. The second one, the positive
    class, is then the same with scores and with decisions. If the class names are numbers, a file
    with the column ``index``, such as a run's own, has the positions of the classes as targets.

    Args:
        path: the file.
        bias: the columns of the bias attribute. With several, every combination of their values is
            one bias value, as in "man & old"; see :meth:`debias.types.Groups.product`. By default
            the column ``bias``; without it, every bias is unknown.
        aligned: (target, bias) pairs that the shortcut favours, by name or number. For several
            columns also a mapping from columns to pairs.
        train: a file of the training images. Its bias values are added to the groups.

    Raises:
        ValueError: the file does not exist, or a column or value cannot be read.
    """
    columns = _read(path, bias)
    trained = columns if train is None else _read(train, bias)
    # if there is a column "target", other columns may also be called target_...
    several = [] if "target" in columns.cells else columns.starting("target_")
    labels = [name.removeprefix("target_") for name in several]
    prefix = next((prefix for prefix in SCORES if columns.starting(prefix)), "")
    outputs = labels or _classes(columns, prefix)
    names = [name for label in labels for name in (f"not {label}", label)] or outputs
    attributes = [
        Attribute(
            name, tuple(_values({*_cells(columns, name), *_cells(trained, name)}, name, path))
        )
        for name in (bias or ("bias",))
    ]
    groups = _groups(path, names, attributes, aligned, multi_label=bool(labels))
    scores = _scores(columns, prefix, outputs, multi_label=bool(labels))
    given = scores if prefix == SCORES[1] else None
    logits = scores if given is None else _logits_of(given, multi_label=bool(labels))
    target, value = _labels(columns, groups)
    paths = tuple(columns.cells.get("path", [""] * len(value)))
    rows = Predictions(torch.arange(len(value)), paths, target, value, logits.float(), given)
    return Foreign(rows, groups, bool(prefix))


def frequencies_of(path: Path, groups: Groups, *, bias: Sequence[str] = ()) -> Tensor:
    """Count the rows of each group in a CSV file with the columns ``target`` and ``bias``.

    Args:
        path: the file, in the form of :func:`read_foreign`.
        groups: the groups to count.
        bias: the columns of the bias attribute, as for :func:`read_foreign`.

    Returns:
        ``(groups.count,)`` counts. Rows of unknown bias are in no group.

    Raises:
        ValueError: the file cannot be read, or a value is not a class or bias value of ``groups``.
    """
    return groups.frequencies(*_labels(_read(path, bias), groups))


def _read(path: Path, bias: Sequence[str]) -> Columns:
    """Read all columns of a file. A single column in ``bias`` becomes the column "bias"."""
    columns = read_csv(path)
    hint = "; name a column of the file, as in bias=gender"
    chosen = [columns.column(name, hint) for name in bias]
    if len(chosen) != 1:
        return columns
    return replace(columns, cells=columns.cells | {"bias": chosen[0]})


def _cells(columns: Columns, bias: str) -> Sequence[str]:
    """The cells of a bias column; all are unknown if there is no column "bias"."""
    return columns.cells.get(bias, [""] * len(columns.lines))


def _groups(
    path: Path,
    names: Sequence[str],
    attributes: Sequence[Attribute],
    aligned: Named | Mapping[str, Named],
    *,
    multi_label: bool,
) -> Groups:
    """The groups of classes and bias attributes, with the aligned pairs by name or number."""
    if isinstance(aligned, Mapping):
        columns = [one.name for one in attributes]
        for column in aligned:
            if column not in columns:
                raise InputError(
                    f"aligned names {column!r}, which is no bias column; {near(column, columns)}"
                )
        attributes = [
            one._replace(aligned=aligned_pairs(path, aligned.get(one.name, ()), names, one.values))
            for one in attributes
        ]
        return Groups.product(names, attributes, multi_label=multi_label)
    groups = Groups.product(names, attributes, multi_label=multi_label)
    return replace(groups, aligned=aligned_pairs(path, aligned, names, groups.bias_names))


def _labels(columns: Columns, groups: Groups) -> tuple[Tensor, Tensor]:
    """The targets and bias values of a file as numbers, in the numbering of ``groups``."""
    attributes = groups.attributes or (Attribute("bias", groups.bias_names),)
    bias = groups.combine(torch.stack([_values_of(columns, one) for one in attributes], dim=1))
    if not groups.multi_label:
        names = _targets(columns, groups.target_names)
        return columns.choices("target", {name: value for value, name in enumerate(names)}), bias
    return _switches(columns, "target_", groups.label_names), bias


def _values_of(columns: Columns, attribute: Attribute) -> Tensor:
    """``(N,)`` int64 value of one bias attribute, or -1."""
    name, values = attribute.name, {text: value for value, text in enumerate(attribute.values)}
    complete = replace(columns, cells=columns.cells | {name: _cells(columns, name)})
    return complete.choices(name, values | {text: -1 for text in UNKNOWN if text not in values})


def _switches(columns: Columns, prefix: str, labels: Sequence[str]) -> Tensor:
    """Read one column of 0 and 1 per label into an ``(N, labels)`` tensor."""
    switches = [columns.choices(f"{prefix}{label}", {"0": 0, "1": 1}) for label in labels]
    return torch.stack(switches, dim=1)


def _targets(columns: Columns, names: Sequence[str]) -> Sequence[str]:
    """The texts that a file uses for the classes as targets: their names, or numbers from 0.

    Raises:
        ValueError: the targets can be read both ways.
    """
    numbers = [str(place) for place in range(len(names))]
    values = set(columns.column("target"))
    if not values <= set(numbers):
        return names
    if NUMBERED in columns.cells or not values <= set(names):
        return numbers
    if unclear := sorted(value for value in values if names.index(value) != int(value)):
        raise InputError(
            f"{columns.source}: target {unclear[0]!r} may be the class of that name, or class "
            f"number {unclear[0]} of {shown(names)}. Give the classes names that are not numbers, "
            f"as in logit_class{unclear[0]}"
        )
    return names


def _values(values: Collection[str], name: str, path: Path) -> list[str]:
    """List the classes or bias values of a column: numbers from 0 to the greatest, or sorted names.

    If all values are unknown, the list is "unknown".

    Raises:
        ValueError: a number is ``MOST_VALUES`` or more.
    """
    defined = set(values) - set(UNKNOWN)
    if not all(value.isdecimal() for value in defined):
        return sorted(defined)
    # ten digits are enough to detect a number that is too great; int fails for thousands of digits
    numbers = {int(value[:10]): value for value in defined}
    if max(numbers, default=0) >= MOST_VALUES:
        raise InputError(
            f"{path}: {name} must be a name or a number below {MOST_VALUES:,}; got "
            f"{numbers[max(numbers)][:20]}"
        )
    return [str(value) for value in range(max(numbers) + 1)] if defined else ["unknown"]


def _sorted(names: Collection[str]) -> list[str]:
    """Names in alphabetical order; numbers in numerical order."""
    return sorted(names, key=int) if all(map(str.isdecimal, names)) else sorted(names)


def _classes(columns: Columns, prefix: str) -> list[str]:
    targets = columns.column("target")
    if prefix:
        names = [name.removeprefix(prefix) for name in columns.starting(prefix)]
        # targets 0 and 1 are positions among the columns
        return names if set(targets) <= {"0", "1"} or len(names) != 2 else _sorted(names)
    chosen = columns.column("prediction", NO_SCORES)
    if strange := sorted(set(chosen) - set(targets)):
        warnings.warn(
            f"{columns.source}: no image has the predicted class {strange[0]!r} as its target. "
            "Check its spelling",
            stacklevel=2,
        )
    return _values({*targets, *chosen}, "class", columns.source)


def _scores(columns: Columns, prefix: str, outputs: Sequence[str], *, multi_label: bool) -> Tensor:
    """Read ``(N, outputs)`` float64 scores. For decisions: 1 for the chosen ones, otherwise -1."""
    if prefix:
        return _numbers(columns, prefix, outputs, multi_label=multi_label)
    if multi_label:
        return 2.0 * _switches(columns, "prediction_", outputs).float() - 1
    classes = columns.choices("prediction", {name: value for value, name in enumerate(outputs)})
    # in place: for millions of images and a thousand classes, memory is enough for only one table
    return torch.full((len(classes), len(outputs)), -1.0).scatter_(1, classes[:, None], 1.0)


def _numbers(columns: Columns, prefix: str, outputs: Sequence[str], *, multi_label: bool) -> Tensor:
    arrays = [torch.from_numpy(columns.numbers(f"{prefix}{name}")) for name in outputs]
    scores = torch.stack(arrays, dim=1)
    if not multi_label and len(outputs) < 2:
        raise InputError(
            f"{columns.source}: every class needs a column {prefix}<class>; got one for "
            f"{outputs[0]!r} only"
        )
    if prefix == SCORES[0]:
        return scores
    if bool(((scores < 0) | (scores > 1)).any()):
        raise InputError(
            f"{columns.source}: a probability lies outside [0, 1]. If the scores are logits, name "
            "the columns logit_<class>"
        )
    wrong = ((scores.sum(dim=1) - 1).abs() > SLACK).nonzero().flatten().tolist()
    if wrong and not multi_label:
        raise InputError(
            f"{columns.source}, line {columns.lines[wrong[0]]}: the probabilities of the classes "
            "do not add up to 1"
        )
    return scores


def _logits_of(probabilities: Tensor, *, multi_label: bool) -> Tensor:
    """Logits of probabilities. A few greater ones would hide all others from a leakage attacker."""
    logits = probabilities.logit() if multi_label else probabilities.log()
    return logits.clamp(-MOST_LOGIT, MOST_LOGIT)
