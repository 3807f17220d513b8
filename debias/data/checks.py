"""Checks of the labels, files and splits of a data set before training starts."""

import posixpath
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from debias.data.examples import SPLITS, Examples
from debias.data.listing import locate
from debias.errors import InputError, check_printable, shown
from debias.types import Groups

#: Parts of a path that ``posixpath.normpath`` removes: two such paths may name the same file.
_ODD = re.compile(r"//|/\.(/|$)|^\./|/$")

#: What else may be done with data of a test split alone.
ONLY_TEST = " Data that is only for evaluation is for `debias evaluate RUN data=NAME root=PATH`."


def check_examples(examples: Examples, *, require: tuple[str, ...] = ()) -> None:
    """Check a data set. One error lists all problems, their rows and how to correct them.

    Problems are labels out of range, paths and links that leave the root, missing files, repeated
    images, an empty split, a single class, a class without training image, and a missing
    requirement.

    Args:
        examples: the data set; its images are not opened.
        require: requirements on the training split. "bias": bias labels of all images. "some bias":
            a bias label of at least one image. "groups": an image in every group that another split
            has. "mask": a mask for every image. "fills": a folder of fills. "inferred groups" is
            not checked here.

    Raises:
        ValueError: the data set has one of these problems.

    Warns:
        UserWarning: a group of another split has no training image, and "groups" is not required.
    """
    problems = [*_label_problems(examples), *_path_problems(examples)]
    if not problems:
        # A label out of range would be counted in another group, so only valid labels are counted.
        problems = [*_count_problems(examples), *_requirement_problems(examples, require)]
    _refuse(examples, problems)
    some_bias = bool((examples.bias[examples.rows("train")] >= 0).any())
    if some_bias and (empty := absent_groups(examples, "train")):
        warnings.warn(
            f"{examples.source}: no training image in {empty}: a model cannot learn these groups",
            stacklevel=2,
        )


def units_in_several(units: Sequence[str], split: Tensor) -> tuple[list[str], int]:
    """Units, such as patients, whose rows lie in several splits.

    Args:
        units: N names; an empty one is nobody.
        split: ``(N,)`` int64 position in ``SPLITS``; rows of -1 are in none.

    Returns:
        The names, and the number of all units that a split has.
    """
    splits: dict[str, set[int]] = {}
    for unit, number in zip(units, split.tolist(), strict=False):
        if unit and number >= 0:
            splits.setdefault(unit, set()).add(number)
    return [unit for unit, found in splits.items() if len(found) > 1], len(splits)


def check_rows(examples: Examples) -> None:
    """Check labels, paths and files, but not the splits: evaluation needs one split only.

    Without a training row, several rows may have the same image.

    Raises:
        ValueError: as :func:`check_examples`, for these problems.
    """
    _refuse(examples, [*_label_problems(examples), *_path_problems(examples)])


def check_requirements(examples: Examples, require: tuple[str, ...]) -> None:
    """Check only the requirements of :func:`check_examples`, for inferred groups.

    Every class must then have an image of every inferred value. One error lists all missing ones.

    Raises:
        ValueError: the training split does not meet a requirement.
    """
    _refuse(examples, [*_requirement_problems(examples, require, every_group=True)])


def check_inferred(examples: Examples, inferred: Tensor) -> None:
    """Check inferred groups for a method that needs a training image in every group.

    Args:
        examples: the data set; single-label.
        inferred: ``(len(examples),)`` int64 inferred values, at least 0 in the training split.

    Raises:
        ValueError: a pair of class and inferred value has no training image.
    """
    rows = examples.rows("train")
    names = tuple(map(str, range(int(inferred.max()) + 1)))
    groups = Groups(examples.groups.target_names, names)
    counts = groups.frequencies(examples.target[rows], inferred[rows])
    if empty := fewer(groups.names, counts):
        raise InputError(
            f"no training image in the inferred groups {shown(empty)}, and this strategy or "
            "sampler needs one for every class and inferred value: train the earlier stage for "
            "fewer or more epochs or with more weight decay, or use a strategy that needs no "
            "group labels"
        )


def fewer(names: Sequence[str], counts: Tensor, *, least: int = 1) -> list[str]:
    """The names of classes or groups with fewer samples than ``least``."""
    return [name for name, count in zip(names, counts.tolist(), strict=True) if count < least]


def _refuse(examples: Examples, problems: list[str]) -> None:
    if problems:
        raise InputError(" ".join([f"{examples.source} cannot be used:", *problems]))


def _label_problems(examples: Examples) -> Iterator[str]:
    groups = examples.groups
    highest = 1 if groups.multi_label else groups.rows - 1
    targets = examples.target.reshape(len(examples), -1)
    yield from _out_of_range(examples, "target", targets, 0, highest)
    yield from _out_of_range(examples, "bias", examples.bias[:, None], -1, groups.biases - 1)
    yield from _out_of_range(examples, "split", examples.split[:, None], 0, len(SPLITS) - 1)


def _out_of_range(
    examples: Examples, name: str, values: Tensor, lowest: int, highest: int
) -> Iterator[str]:
    rows = ((values < lowest) | (values > highest)).any(dim=1).nonzero().flatten().tolist()
    if rows:
        every = torch.unique(values[rows]).tolist()
        outside = [value for value in every if not lowest <= value <= highest]
        yield (
            f"{len(rows)} rows have a {name} outside {lowest} to {highest} "
            f"({shown(outside)}): {_rows(examples, rows)}. Correct these labels, or "
            "the names of the classes."
        )


def _path_problems(examples: Examples) -> Iterator[str]:
    every = (examples.images, examples.masks, examples.fills)
    for paths in every:
        for path in paths:
            check_printable("path", path)
    if outside := [row for paths in every for row, path in enumerate(paths) if _leaves(path)]:
        yield (
            f"{len(outside)} paths leave the root {examples.root}: {_rows(examples, outside)}. "
            "Put the files under the root, and name them relative to it without '..'."
        )
        return
    if examples.held is None:
        yield from _missing(examples, "images", examples.root, examples.images)
    yield from _missing(examples, "masks", examples.mask_root or examples.root, examples.masks)
    yield from _missing(examples, "fills", examples.fill_root or examples.root, examples.fills)
    yield from _repeated(examples)


def _leaves(path: str) -> bool:
    if path[:1] not in "/\\" and ".." not in path and ":" not in path:
        return False  # fast exit for nearly all paths, since a table may have millions
    parts = path.replace("\\", "/").split("/")
    return bool(path) and (parts[0] == "" or parts[0].endswith(":") or ".." in parts)


def _missing(examples: Examples, kind: str, root: Path, paths: Sequence[str]) -> Iterator[str]:
    rows, outside = locate(root, paths, follow_links=examples.follow_links)
    if outside:
        yield (
            f"links lead {len(outside)} of {len(paths)} {kind} out of the root {root}: "
            f"{_rows(examples, outside)}. Set data.follow_links=true if these links are yours, or "
            "put the files under the root."
        )
    if rows:
        option = ", or set data.missing=leave_out" if kind == "images" else ""
        slash = " Write / in place of \\." if any("\\" in paths[row] for row in rows) else ""
        yield (
            f"{len(rows)} of {len(paths)} {kind} are not in {root}: "
            f"{shown([paths[row] for row in rows])}. Correct the root, put the files there, or "
            f"remove these rows{option}.{slash}"
        )


def _repeated(examples: Examples) -> Iterator[str]:
    if not len(examples.rows("train")):
        return  # a row may be one of several people in a picture, as in FACET
    # normalising is far slower than the search for a part that it would remove
    plain = [
        path if "/" not in path or not _ODD.search(path) else posixpath.normpath(path)
        for path in examples.images
    ]
    if len(set(plain)) == len(plain):
        return
    first: dict[str, int] = {}
    for row, path in enumerate(plain):
        first.setdefault(path, row)
    rows = [row for row, path in enumerate(plain) if first[path] != row]
    if rows:
        yield (
            f"{len(rows)} rows repeat the image of an earlier row: {_rows(examples, rows)}. Keep "
            "one row per image: a repeated image counts twice, and in two splits a test image may "
            "be trained on."
        )


def _count_problems(examples: Examples) -> Iterator[str]:
    empty = [name for name in SPLITS if not len(examples.rows(name))]
    if empty:
        yield (
            f"no image in the split {' or '.join(empty)}: each of {', '.join(SPLITS)} needs images."
            f"{ONLY_TEST if empty == ['train', 'val'] else ''}"
        )
    if examples.groups.rows < 2:
        yield (
            f"a single class, {', '.join(examples.groups.target_names)}: a classifier needs at "
            "least two."
        )
    target = examples.groups.row(examples.target[examples.rows("train")]).flatten()
    counts = torch.bincount(target, minlength=examples.groups.rows)
    absent = fewer(examples.groups.target_names, counts)
    if absent and "train" not in empty:
        yield (
            f"no training image of {shown(absent)}: add training images of the class, remove its "
            "rows, or number the classes from 0 without gaps."
        )


def _requirement_problems(
    examples: Examples, require: tuple[str, ...], *, every_group: bool = False
) -> Iterator[str]:
    rows = examples.rows("train")
    has_bias = examples.bias[rows] >= 0
    if "bias" in require:
        unknown = rows[~has_bias].tolist()
        if unknown:
            yield (
                f"{len(unknown)} training images have no bias attribute: "
                f"{_rows(examples, unknown)}. This method needs it for all: fill in the bias "
                "column, or use a method that needs no group labels."
            )
    if "some bias" in require and not bool(has_bias.any()):
        yield (
            "no training image has a bias attribute. This method needs it for some images: fill "
            "in the bias column for these, or use a method that needs no group labels."
        )
    if "groups" in require and (empty := absent_groups(examples, "train", every=every_group)):
        yield (
            f"no training image in {empty}. This method needs every group: add images, "
            "or use a method that does not weight groups."
        )
    yield from _picture_problems(examples, require, rows.tolist())


def _picture_problems(
    examples: Examples, require: tuple[str, ...], rows: list[int]
) -> Iterator[str]:
    if "mask" in require:
        without = [row for row in rows if not examples.masks or not examples.masks[row]]
        if without:
            yield (
                f"{len(without)} training images have no mask: {_rows(examples, without)}. This "
                "method needs one for each: set data.masks to a folder of masks, or use a "
                "method that needs no masks."
            )
    if "fills" in require and not examples.fills:
        yield (
            "it has no companion pictures. This augmentation blends them into the images: set "
            "data.fills to a folder of pictures with the names of the images."
        )


def absent_groups(examples: Examples, split: str, *, every: bool = False) -> str:
    """The groups without an image in a split, as text. Empty if no bias is known.

    Args:
        examples: the data set.
        split: the split.
        every: name all of them. Otherwise only groups that have an image in another split.
    """
    if not bool((examples.bias >= 0).any()):
        return ""
    missing = (examples.frequencies(split) == 0) & (examples.occurring | every)
    names = examples.groups.names
    return shown([names[group] for group in missing.nonzero().flatten().tolist()])


def _rows(examples: Examples, rows: Sequence[int]) -> str:
    return shown([f"row {row + 1} ({examples.images[row]})" for row in rows])
