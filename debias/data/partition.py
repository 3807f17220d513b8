"""Partitions: inferred values that replace bias labels, in memory or in a CSV file."""

import csv
import io
import math
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
#: The further column of a file that says how likely each image is drawn.
IMPORTANCE = "importance"


class Partition(NamedTuple):
    """Values that replace the bias attribute of each image in some splits.

    Attributes:
        values: ``(samples,)`` int64 in [0, len(names)), one per row of the data set. It is -1 if
            unknown, and in all other splits.
        names: the names of the values.
        chosen: ``(samples,)`` bool: the images whose value is named "1", such as an earlier model's
            errors.
        importance: ``(samples,)`` float64: how likely the sampler ``weighted`` draws each image,
            relative to the others; NaN if unknown.
        splits: the splits with values: "train", "val" or both.
        source: the file that records the partition, for messages.
    """

    values: Tensor
    names: tuple[str, ...]
    chosen: Tensor
    importance: Tensor
    splits: tuple[str, ...]
    source: Path

    @property
    def section(self) -> dict[str, Any]:
        """The config section ``groups`` that makes a run read this partition from its file."""
        return {"file": str(self.source), "splits": list(self.splits)}


class RunExamples(NamedTuple):
    """The data set with the labels that a run reads. Evaluation may use other labels.

    Attributes:
        train: the data set with the labels for training.
        val: the data set with the labels for validation and for the selection of an epoch.
        batches: the data set with the bias values that the batches of each split contain.
    """

    train: Examples
    val: Examples
    batches: Examples


def seen_by_run(examples: Examples, partition: Partition | None) -> RunExamples:
    """The data set as a run reads it. A partition replaces the bias labels of its splits."""
    if partition is None:
        return RunExamples(examples, examples, examples)
    own = examples.groups
    groups = Groups(
        own.target_names, partition.names, multi_label=own.multi_label, contexts=own.contexts
    )
    view = replace(examples, bias=partition.values, groups=groups, source=partition.source)
    replaced = _within(examples, partition.splits)
    bias = torch.where(replaced, partition.values, examples.bias)
    train, val = (view if split in partition.splits else examples for split in ("train", "val"))
    return RunExamples(train, val, replace(examples, bias=bias))


def inferred_partition(
    inferred: Tensor, examples: Examples, source: Path, importance: Tensor | None = None
) -> Partition:
    """Make a partition of inferred values, for the splits in which every image has a value.

    Args:
        inferred: ``(len(examples),)`` int64 value of each image, -1 if none was inferred.
        examples: the data set.
        source: the file that records the partition.
        importance: as in :class:`Partition`; ``None`` if it is unknown for all images.
    """
    splits = tuple(
        split for split in ("train", "val") if bool((inferred[examples.rows(split)] >= 0).all())
    )
    within = _within(examples, splits)
    numbers, values = torch.unique(inferred[within], return_inverse=True)
    every = torch.full_like(inferred, -1).masked_scatter(within, values)
    names = tuple(map(str, numbers.tolist()))
    if importance is None:
        importance = _unknown(inferred)
    return Partition(every, names, within & (inferred == 1), importance, splits, source)


def placeholder_partition(examples: Examples, splits: Sequence[str]) -> Partition:
    """A partition for checks before values are inferred. The images of a class alternate between
    the values 0 and 1.

    Args:
        examples: the data set, with one class per image.
        splits: "train", "val" or both.
    """
    cell = examples.split * examples.groups.rows + examples.target
    order, counts = cell.argsort(stable=True), torch.bincount(cell)
    before = (counts.cumsum(0) - counts)[cell]
    place = torch.empty_like(cell)
    place[order] = torch.arange(len(cell))
    values = torch.where(_within(examples, splits), (place - before) % 2, -1)
    return inferred_partition(values, examples, examples.source)


def read_partition(path: Path, examples: Examples, splits: Sequence[str]) -> Partition:
    """Read the partition of some splits from a CSV file.

    Args:
        path: a CSV file in the form of :func:`write_inferred`. The values may have other names. An
            unknown value is an empty cell, -1, NA, nan or None. The column ``importance`` is
            optional, and an unknown number is written in the same way.
        examples: the data set.
        splits: "train", "val" or both.

    Raises:
        ValueError: the file or a column does not exist, a row is damaged or repeats an image, the
            file lacks an image of these splits, an importance is not a number, or ``splits`` is
            empty or names another split.
    """
    if not splits or set(splits) - {"train", "val"}:
        raise InputError(
            f"groups.splits must name train, val or both; got groups.splits={list(splits)}. The "
            "test split keeps its own bias labels"
        )
    (values, numbers), within = _read(path), _within(examples, splits)
    rows = within.nonzero().flatten().tolist()
    absent = [examples.images[row] for row in rows if examples.images[row] not in values]
    if absent:
        raise InputError(
            f"{path} has no line for {len(absent)} of the {len(rows)} images of "
            f"{' and '.join(splits)}, such as {absent[0]}: infer groups for these splits too, or "
            "leave these splits out of groups.splits"
        )
    inferred = [values[examples.images[row]] for row in rows]
    names = tuple(sorted({*inferred} - {""}, key=lambda name: (len(name), name))) or ("unknown",)
    number = {"": -1} | {name: value for value, name in enumerate(names)}
    every, chosen = torch.full_like(examples.bias, -1), torch.zeros_like(within)
    every[within] = torch.tensor([number[name] for name in inferred])
    chosen[within] = torch.tensor([name == "1" for name in inferred])
    importance = _unknown(every)
    if numbers:
        found = [numbers[examples.images[row]] for row in rows]
        importance[within] = torch.tensor(found, dtype=torch.float64)
    return Partition(every, names, chosen, importance, tuple(splits), path)


def write_inferred(
    path: Path, examples: Examples, inferred: Tensor, importance: Tensor | None = None
) -> None:
    """Write inferred values as CSV: one line per image, with its true labels beside the value.

    Args:
        path: the file. It appears complete or not at all.
        examples: the data set.
        inferred: ``(len(examples),)`` int64 value of each image. Images with -1 are left out.
        importance: as in :class:`Partition`; ``None`` writes no such column.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS if importance is None else (*COLUMNS, IMPORTANCE))
    numbers = [] if importance is None else importance.tolist()
    targets, biases = examples.target.reshape(len(examples), -1).tolist(), examples.bias.tolist()
    for row in (inferred >= 0).nonzero().flatten().tolist():
        bias = examples.groups.bias_names[biases[row]] if biases[row] >= 0 else ""
        split, target = SPLITS[int(examples.split[row])], " ".join(map(str, targets[row]))
        cells = [examples.images[row], split, target, int(inferred[row]), bias]
        table.writerow([*cells, *numbers[row : row + 1]])
    write_atomically(path, text.getvalue())


def read_inferred(path: Path, examples: Examples) -> Tensor:
    """Read the inferred values from a file that :func:`write_inferred` wrote.

    Args:
        path: the file.
        examples: the data set.

    Returns:
        ``(len(examples),)`` int64 value of each image, -1 if the file does not name the image.

    Raises:
        ValueError: the file or a column does not exist, a row is damaged or repeats an image, or
            the file names an image that is not in the data set.
    """
    values, _ = _read(path)
    others = values.keys() - set(map(str, examples.images))
    if others:
        raise InputError(
            f"{path} names images that {examples.source} does not have, such as {min(others)}: "
            "give the data set that the file was made for"
        )
    return torch.tensor([int(values.get(str(image)) or -1) for image in examples.images])


def _within(examples: Examples, splits: Sequence[str]) -> Tensor:
    """``(samples,)`` bool: the rows of these splits."""
    return torch.isin(examples.split, torch.tensor([SPLITS.index(split) for split in splits]))


def _unknown(values: Tensor) -> Tensor:
    """``(samples,)`` float64 NaN."""
    return torch.full(values.shape, math.nan, dtype=torch.float64)


def _read(path: Path) -> tuple[dict[str, str], dict[str, float]]:
    """Read a CSV file of inferred values.

    Returns:
        The value of each image path, "" if it is unknown; and its importance, if the file has this
        column.
    """
    if not path.is_file():
        raise InputError(f"groups.file={path} is not a file: make one with `debias infer-groups`")
    columns = read_csv(path, ("path", "inferred"), optional=(IMPORTANCE,))
    images = columns.paths("path")
    values: dict[str, str] = {}
    for row, image in enumerate(images):
        if image in values:
            raise columns.error(row, "path", "as on an earlier line: keep one line per image")
        value = columns.cells["inferred"][row]
        values[image] = "" if value in UNKNOWN else value
    if IMPORTANCE not in columns.cells:
        return values, {}
    known = ["nan" if cell in UNKNOWN else cell for cell in columns.cells[IMPORTANCE]]
    parsed = replace(columns, cells={IMPORTANCE: known}).numbers(IMPORTANCE, finite=False)
    return values, dict(zip(images, parsed.tolist(), strict=True))
