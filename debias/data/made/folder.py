"""The folder of a generated data set: its arrays, its table, and the recipe they were made by."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from debias.csv_files import read_csv
from debias.data.examples import Examples
from debias.data.made.allocation import generator, held_out
from debias.errors import InputError, check_at_least
from debias.files import made_whole
from debias.json_files import json_text, plain, read_json
from debias.progress import say
from debias.types import Groups

#: Images and their labels.
Images = tuple[NDArray[np.uint8], NDArray[np.uint8]]
IMAGES, LABELS, RECIPE = "images.npy", "labels.csv", "made.json"
#: Raise it whenever the pictures or their order change, so that no old folder is read as a new one.
DRAWING = 1


class MadePart(NamedTuple):
    """Some images ``(N, H, W)`` or ``(N, H, W, C)`` uint8, and columns of N cells by their names.

    The column ``split`` has the split of each image.
    """

    images: NDArray[np.uint8]
    columns: Mapping[str, NDArray[Any]]

    def take(self, rows: NDArray[Any]) -> MadePart:
        """The images of some rows, with their cells."""
        return MadePart(
            self.images[rows], {name: cells[rows] for name, cells in self.columns.items()}
        )


def made(
    root: str, name: str, recipe: Mapping[str, object], parts: Callable[[], Sequence[MadePart]]
) -> Path:
    """The folder of a generated set below ``root``. It is written when it does not exist.

    Args:
        root: the folder with the files that the set is made of.
        name: name of the set.
        recipe: all options that the images or labels depend on. The folder's name contains them.
        parts: function that makes the images and labels.

    Raises:
        ValueError: the folder was made by another recipe, or by another version of debias.
    """
    described = "-".join(f"{key}{_text(value)}" for key, value in recipe.items())
    folder = Path(root) / f"{name}-{described}"
    record = {"set": name, "drawing": DRAWING, "recipe": plain(recipe)}
    if not folder.is_dir():
        say(f"making {name} in {folder}")
        images = parts()  # a mistake is found before anything is written
        with made_whole(folder, shared=True) as draft:
            _write(draft, images)
            (draft / RECIPE).write_text(json_text(record), encoding="utf-8")
    remedy = "remove the folder, and it is made again"
    if read_json(folder / RECIPE, dict, entries={"recipe": dict}, remedy=remedy) != record:
        raise InputError(f"{folder / RECIPE} is of another recipe or version of debias: {remedy}")
    return folder


def in_splits(
    train: MadePart, test: MadePart, *, val: int, seed: int, by: NDArray[np.integer]
) -> list[MadePart]:
    """Give the parts their column ``split``.

    Args:
        train: the images of training.
        test: the images of the test split.
        val: number of training images to hold out for validation, the same share of each value of
            ``by``. If it is 0, validation has the images of the test split, as the code of some
            papers does.
        seed: seed of the held-out images.
        by: ``(N,)`` an integer per training image, such as its class.

    Raises:
        ValueError: ``val`` is negative, or leaves no training image.
    """
    check_at_least(0, {"val": val, "seed": seed})
    if val == 0:
        return [_in(train, "train"), _in(test, "val"), _in(test, "test")]
    out = held_out(by, val, generator(seed, 0))
    splits = np.where(out, "val", "train")
    return [MadePart(train.images, {**train.columns, "split": splits}), _in(test, "test")]


def unchanged(
    root: str, name: str, read: Callable[[str], Sequence[Images]], *, val: int, seed: int
) -> Path:
    """The folder of a set as it is: images and labels of training and of the test are read."""

    def parts() -> list[MadePart]:
        """The images as they are."""
        train, test = (MadePart(images, {"target": labels}) for images, labels in read(root))
        return in_splits(train, test, val=val, seed=seed, by=train.columns["target"])

    return made(root, name, {"val": val, "seed": seed}, parts)


def with_labels(examples: Examples, folder: Path, names: Sequence[str]) -> Examples:
    """The examples of a folder with one label per name, whose columns have these names."""
    table = read_csv(folder / LABELS)
    labels = [[int(cell) for cell in table.column(name)] for name in names]
    pairs = tuple(text for name in names for text in (f"no {name}", name))
    return replace(
        examples,
        target=torch.tensor(labels).T.contiguous(),
        groups=Groups(pairs, examples.groups.bias_names, multi_label=True),
    )


def without(part: MadePart, count: int, *, seed: int, by: NDArray[np.integer]) -> MadePart:
    """Leave out ``count`` images, the same share of each value of ``by``.

    Raises:
        ValueError: ``count`` is negative, or leaves no image.
    """
    check_at_least(0, {"seed": seed})
    out = held_out(by, count, generator(seed, 1), option="leave_out")
    return part.take(np.flatnonzero(~out)) if count else part


def _in(part: MadePart, split: str) -> MadePart:
    return MadePart(part.images, {**part.columns, "split": np.full(len(part.images), split)})


def _text(value: object) -> str:
    return "_".join(map(_text, value)) if isinstance(value, (list, tuple)) else str(value)


def _write(folder: Path, parts: Sequence[MadePart]) -> None:
    shape = (sum(len(part.images) for part in parts), *parts[0].images.shape[1:])
    images = np.lib.format.open_memmap(folder / IMAGES, "w+", np.uint8, shape)
    names = list(parts[0].columns)
    begin = 0
    with (folder / LABELS).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for part in parts:
            images[begin : begin + len(part.images)] = part.images
            begin += len(part.images)
            columns = [part.columns[name].tolist() for name in names]
            writer.writerows(zip(*columns, strict=True))
    images.flush()
