"""A partition of images in place of their bias labels: inferred in memory, or read from a file."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from debias.csv_files import UNKNOWN, read_csv
from debias.data.examples import SPLITS, Examples
from debias.errors import InputError
from debias.files import write_atomically
from debias.types import Groups

COLUMNS = ("path", "split", "target", "inferred", "bias")


class Partition(NamedTuple):
    """A value for each image of some splits, which training reads in place of the bias attribute.

    Attributes:
        values: ``(samples,)`` int64 in [0, len(names)), by row of the data set; -1 where unknown
            and in other splits.
        names: of the values that occur.
        chosen: ``(samples,)`` bool: the images of the value 1, such as an earlier model's errors.
        splits: "train", "val" or both.
        source: the file that records it, for messages.
    """

    values: Tensor
    names: tuple[str, ...]
    chosen: Tensor
    splits: tuple[str, ...]
    source: Path

    @property
    def section(self) -> dict[str, Any]:
        """The section ``groups`` of a config that reads this partition from its file."""
        return {"file": str(self.source), "splits": list(self.splits)}


class RunExamples(NamedTuple):
    """The data set as a run reads it, which may have other labels than the run is judged by.

    Attributes:
        train: as training sees it.
        val: as validation, and with it the selection of an epoch, sees it.
        batches: with the bias of every split that its batches carry.
    """

    train: Examples
    val: Examples
    batches: Examples


def seen_by_run(examples: Examples, partition: Partition | None) -> RunExamples:
    """The labels that a run reads, where a partition may stand in for those of some splits."""
    if partition is None:
        return RunExamples(examples, examples, examples)
    names, multi_label = examples.groups.target_names, examples.groups.multi_label
    groups = Groups(names, partition.names, multi_label=multi_label)
    view = replace(examples, bias=partition.values, groups=groups, source=partition.source)
    replaced = _within(examples, partition.splits)
    bias = torch.where(replaced, partition.values, examples.bias)
    train, val = (view if split in partition.splits else examples for split in ("train", "val"))
    return RunExamples(train, val, replace(examples, bias=bias))


def inferred_partition(inferred: Tensor, examples: Examples, source: Path) -> Partition:
    """The partition by inferred values, of the splits in which every image has one.

    Args:
        inferred: ``(len(examples),)`` int64, -1 where nothing was inferred.
        examples: the data set.
        source: the file that records it.
    """
    splits = tuple(
        split for split in ("train", "val") if bool((inferred[examples.rows(split)] >= 0).all())
    )
    within = _within(examples, splits)
    numbers, values = torch.unique(inferred[within], return_inverse=True)
    every = torch.full_like(inferred, -1).masked_scatter(within, values)
    names = tuple(map(str, numbers.tolist()))
    return Partition(every, names, within & (inferred == 1), splits, source)


def read_partition(path: Path, examples: Examples, splits: Sequence[str]) -> Partition:
    """The partition that a file holds, of some splits.

    Args:
        path: a CSV file as :func:`write_inferred` writes it, or one with other names of the values;
            empty, -1, NA or nan where unknown.
        examples: the data set.
        splits: "train", "val" or both.

    Raises:
        ValueError: no such file or column, a row that is broken or repeats an image, an image of
            these splits that it does not hold, or the test split.
    """
    if not splits or set(splits) - {"train", "val"}:
        raise InputError(
            f"groups.splits must name train, val or both; got {list(splits)}: the test split keeps "
            "its own"
        )
    values, within = _read(path), _within(examples, splits)
    rows = within.nonzero().flatten().tolist()
    absent = [examples.images[row] for row in rows if examples.images[row] not in values]
    if absent:
        raise InputError(
            f"{path} has no line for {len(absent)} of the {len(rows)} images of "
            f"{' and '.join(splits)}, such as {absent[0]}: infer groups for these splits too, or "
            "leave them out of groups.splits"
        )
    found = [values[examples.images[row]] for row in rows]
    names = tuple(sorted({*found} - {""}, key=lambda name: (len(name), name))) or ("unknown",)
    number = {"": -1} | {name: value for value, name in enumerate(names)}
    every, chosen = torch.full_like(examples.bias, -1), torch.zeros_like(within)
    every[within] = torch.tensor([number[name] for name in found])
    chosen[within] = torch.tensor([name == "1" for name in found])
    return Partition(every, names, chosen, tuple(splits), path)


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


def _within(examples: Examples, splits: Sequence[str]) -> Tensor:
    """``(samples,)`` bool: the rows of these splits."""
    return torch.isin(examples.split, torch.tensor([SPLITS.index(split) for split in splits]))


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
