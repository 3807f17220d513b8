"""Concepts of images: which image shows which, and which of them speak for or against a class."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.csv_files import UNKNOWN, Columns, read_csv
from debias.data.examples import Examples
from debias.errors import InputError, near, shown

_PRESENCE = {"1": 1, "0": 0, **dict.fromkeys(UNKNOWN, -1)}
_SIGNS = {"-1": -1, "0": 0, "1": 1}


class Concepts(NamedTuple):
    """The concepts of every image of a data set.

    Attributes:
        names: the names of the C concepts.
        labels: ``(samples, C)`` int64: 1 with the concept, 0 without it, -1 unknown.
    """

    names: tuple[str, ...]
    labels: Tensor


def read_concepts(path: Path, examples: Examples) -> Concepts:
    """Read which image shows which concept from a CSV file.

    Args:
        path: a CSV file with a column ``path`` and one column per concept. A cell is 1, 0, or empty
            if it is unknown. An image without a line is unknown in all concepts. Lines of other
            images are left out.
        examples: the data set. Its image paths are those of the file.

    Raises:
        ValueError: the file or a column does not exist, a cell has another value, a line repeats an
            image, there is no column of a concept, or no line names an image of the data set.
    """
    columns = read_csv(path)
    columns.column("path")
    names = _concepts(columns, "path")
    images = columns.paths("path")
    line_of = {image: line for line, image in enumerate(images)}
    if len(line_of) < len(images):
        line = next(line for line, image in enumerate(images) if line_of[image] != line)
        raise columns.error(line, "path", "as on a later line: keep one line per image")
    lines = torch.tensor([line_of.get(image, -1) for image in examples.images])
    if bool((lines < 0).all()):
        raise InputError(
            f"{path} names no image of {examples.source}: it has paths such as {images[0]}, the "
            f"data set {examples.images[0]}. Write the paths as the data set has them"
        )
    labels = torch.stack([columns.choices(name, _PRESENCE) for name in names], dim=1)
    return Concepts(names, torch.where(lines[:, None] >= 0, labels[lines], -1))


def read_signs(path: Path, classes: tuple[str, ...], concepts: tuple[str, ...]) -> Tensor:
    """Read which concept speaks for or against which class from a CSV file.

    Args:
        path: a CSV file with a column ``class``, one column per concept, and one line per class. A
            cell is 1 for a concept that speaks for the class, -1 for one against it, 0 if unknown.
        classes: the names of the K classes.
        concepts: the names of the C concepts.

    Returns:
        ``(K, C)`` float.

    Raises:
        ValueError: the file or a column does not exist, a cell has another value, or the lines are
            not one per class.
    """
    columns = read_csv(path)
    lines = list(columns.column("class"))
    if sorted(lines) != sorted(classes):
        raise InputError(
            f"{path} must have one line per class, {shown(list(classes))}; got {shown(lines)}: "
            "correct the column class"
        )
    if absent := [name for name in concepts if name not in columns.cells]:
        known = near(absent[0], _concepts(columns, "class"))
        raise InputError(
            f"{path} has no column {absent[0]!r}, which is a concept; {known}. Write 0 for a "
            "concept whose sign is unknown"
        )
    signs = torch.stack([columns.choices(name, _SIGNS) for name in concepts], dim=1)
    return signs[[lines.index(name) for name in classes]].float()


def _concepts(columns: Columns, first: str) -> tuple[str, ...]:
    names = tuple(name for name in columns.cells if name != first)
    if not names:
        raise InputError(f"{columns.source} has no column of a concept beside {first}: add one")
    return names
