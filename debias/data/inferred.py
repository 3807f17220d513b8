"""Groups that somebody inferred, from a CSV file, in place of the data set's own bias labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from debias.data.columns import read_csv
from debias.data.examples import SPLITS, Examples
from debias.data.sets.table import UNKNOWN
from debias.errors import InputError
from debias.files import write_atomically
from debias.types import Groups

COLUMNS = ("path", "split", "target", "inferred", "bias")


@dataclass(frozen=True)
class Seen:
    """The labels that a run reads in each split, which may be others than it is judged by.

    Args:
        train: the data set as training sees it.
        val: as validation, and with it the selection of an epoch, sees it.
        examples: the data set as it is.
    """

    train: Examples
    val: Examples
    examples: Examples

    @property
    def batches(self) -> Examples:
        """The data set whose batches carry, in every split, the bias that is seen there."""
        split, bias = self.examples.split, self.examples.bias
        bias = torch.where(split == SPLITS.index("train"), self.train.bias, bias)
        bias = torch.where(split == SPLITS.index("val"), self.val.bias, bias)
        return replace(self.examples, bias=bias)


def seen_labels(examples: Examples, path: Path | None, splits: Sequence[str]) -> Seen:
    """The labels a run reads where a file of inferred groups stands in for those of some splits.

    Args:
        examples: the data set as it is.
        path: a CSV file as :func:`write_inferred` writes it, or one with other names of the values;
            empty, -1, NA or nan where unknown. ``None`` leaves everything as it is.
        splits: those whose bias labels it stands in for: "train", "val" or both.

    Raises:
        ValueError: no such file or column, a row that is broken or repeats an image, an image of
            these splits that it does not hold, or the test split.
    """
    if path is None:
        return Seen(examples, examples, examples)
    if not splits or set(splits) - {"train", "val"}:
        raise InputError(
            f"groups.splits must name train, val or both; got {list(splits)}: the test split keeps "
            "its own"
        )
    view = _relabelled(examples, path, splits)
    return Seen(
        view if "train" in splits else examples, view if "val" in splits else examples, examples
    )


def write_inferred(path: Path, examples: Examples, inferred: Tensor) -> None:
    """Write inferred values of an unknown bias as CSV, a line per image, with what is known.

    Args:
        path: the file; it appears whole or not at all.
        examples: the data set.
        inferred: ``(len(examples),)`` int64, -1 where nothing was inferred: such rows are left out.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    targets, biases = examples.target.reshape(len(examples), -1).tolist(), examples.bias.tolist()
    for row in (inferred >= 0).nonzero().flatten().tolist():
        known = examples.groups.bias_names[biases[row]] if biases[row] >= 0 else ""
        split, target = SPLITS[int(examples.split[row])], " ".join(map(str, targets[row]))
        table.writerow([examples.images[row], split, target, int(inferred[row]), known])
    write_atomically(path, text.getvalue())


def read_inferred(path: Path, examples: Examples) -> Tensor:
    """What :func:`write_inferred` wrote.

    Args:
        path: the file.
        examples: the data set.

    Returns:
        ``(len(examples),)`` int64, -1 for images that the file does not name.

    Raises:
        ValueError: no such file or column, a row that is broken or repeats an image, or it names
            images that the data set has not.
    """
    values = _read(path)
    others = values.keys() - set(map(str, examples.images))
    if others:
        raise InputError(
            f"{path} is of other images than {examples.source}, such as {min(others)}: give its "
            "data"
        )
    return torch.tensor([int(values.get(str(image)) or -1) for image in examples.images])


def _relabelled(examples: Examples, path: Path, splits: Sequence[str]) -> Examples:
    values = _read(path)
    wanted = torch.isin(examples.split, torch.tensor([SPLITS.index(split) for split in splits]))
    rows = wanted.nonzero().flatten().tolist()
    absent = [examples.images[row] for row in rows if examples.images[row] not in values]
    if absent:
        raise InputError(
            f"{path} has no line for {len(absent)} of the {len(rows)} images of "
            f"{' and '.join(splits)}, such as {absent[0]}: infer groups for these splits too, or "
            "leave them out of groups.splits"
        )
    found = {values[examples.images[row]] for row in rows} - {""}
    names = tuple(sorted(found, key=lambda name: (len(name), name))) or ("unknown",)
    number = {"": -1} | {name: value for value, name in enumerate(names)}
    bias = torch.full_like(examples.bias, -1)
    bias[wanted] = torch.tensor([number[values[examples.images[row]]] for row in rows])
    groups = Groups(examples.groups.target_names, names, multi_label=examples.groups.multi_label)
    return replace(examples, bias=bias, groups=groups, source=path)


def _read(path: Path) -> dict[str, str]:
    """The inferred value of each image, empty where it is unknown."""
    if not path.is_file():
        raise InputError(f"groups.file {path} is no file: make one with `debias infer-groups`")
    columns = read_csv(path, ("path", "inferred"))
    values: dict[str, str] = {}
    for row, image in enumerate(columns.paths("path")):
        if image in values:
            raise columns.error(row, "path", "as on an earlier line: keep one line an image")
        value = columns.cells["inferred"][row]
        values[image] = "" if value in UNKNOWN else value
    return values
