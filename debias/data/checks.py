"""Finds what is wrong with a data set before training starts."""

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

#: What makes two spellings of one path differ.
_ODD = re.compile(r"//|/\.(/|$)|^\./|/$")


def check_examples(examples: Examples, *, require: tuple[str, ...] = ()) -> None:
    """Raises one error that says all that is wrong with a data set, where, and how to mend it.

    Checked: labels out of range, paths and links that leave the root, files that are not there, the
    same image twice, an empty split, a single class, a class without training image, and what
    ``require`` asks for.

    Args:
        examples: the data set; its images are not opened.
        require: what is needed of the training split. "bias": the bias attribute of every image;
            "some bias": of one at least. "groups": an image in every group. "mask": a mask for
            every image. "inferred groups" are no matter of the data itself.

    Raises:
        ValueError: something above is wrong.

    Warns:
        UserWarning: a group has no training image, and "groups" is not required.
    """
    problems = [*_label_problems(examples), *_path_problems(examples)]
    if not problems:
        # A label out of range would be counted in another group, so only sound labels are counted.
        problems = [*_count_problems(examples), *_requirement_problems(examples, require)]
    _refuse(examples, problems)
    known = bool((examples.bias[examples.rows("train")] >= 0).any())
    if known and (empty := _empty_groups(examples)):
        warnings.warn(
            f"{examples.source}: no training image in {empty}: nothing can be learnt there",
            stacklevel=2,
        )


def check_requirements(examples: Examples, require: tuple[str, ...]) -> None:
    """Raises one error that says what ``require`` asks for and the data set does not have.

    Raises:
        ValueError: something is not there.
    """
    _refuse(examples, [*_requirement_problems(examples, require)])


def check_inferred(examples: Examples, inferred: Tensor) -> None:
    """Refuse inferred groups of the training split for a method that needs an image in each.

    Args:
        examples: the data set; single-label.
        inferred: ``(len(examples),)`` int64, at least 0 in the training split.

    Raises:
        ValueError: a class has no training image of a value that another has.
    """
    rows = examples.rows("train")
    names = tuple(map(str, range(int(inferred.max()) + 1)))
    groups = Groups(examples.groups.target_names, names)
    counts = groups.frequencies(examples.target[rows], inferred[rows])
    if empty := fewer(groups.names, counts):
        raise InputError(
            f"the inferred groups leave {shown(empty)} without a training image, and this "
            "strategy or sampler needs one in every class and inferred value: train the stage "
            "before for fewer or more epochs or with more weight decay, or take a strategy that "
            "needs no group labels"
        )


def fewer(names: Sequence[str], counts: Tensor, *, least: int = 1) -> list[str]:
    """The names of classes or groups that have fewer samples than ``least``."""
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
        found = [value for value in every if not lowest <= value <= highest]
        yield (
            f"{len(rows)} rows have a {name} outside {lowest} to {highest} "
            f"({shown(found)}): {_rows(examples, rows)}. Correct these labels, or "
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
    yield from _missing(examples, "images", examples.root, examples.images)
    yield from _missing(examples, "masks", examples.mask_root or examples.root, examples.masks)
    yield from _missing(examples, "fills", examples.fill_root or examples.root, examples.fills)
    yield from _repeated(examples)


def _leaves(path: str) -> bool:
    if path[:1] not in "/\\" and ".." not in path and ":" not in path:
        return False  # nearly every path, and a table may have millions
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
        yield (
            f"{len(rows)} of {len(paths)} {kind} are not in {root}: "
            f"{shown([paths[row] for row in rows])}. Correct the root, put the files there, or "
            "take these rows out."
        )


def _repeated(examples: Examples) -> Iterator[str]:
    # what is written plainly needs no normalising, which takes far longer than to look
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
            "one row an image: a repeated one counts twice, and across splits the test images are "
            "trained on."
        )


def _count_problems(examples: Examples) -> Iterator[str]:
    empty = [name for name in SPLITS if not len(examples.rows(name))]
    if empty:
        yield (
            f"no image in the split {' or '.join(empty)}: every one of {', '.join(SPLITS)} needs "
            "images."
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
            f"no training image of {shown(absent)}: give the class images in train, or take its "
            "rows out."
        )


def _requirement_problems(examples: Examples, require: tuple[str, ...]) -> Iterator[str]:
    rows = examples.rows("train")
    known = examples.bias[rows] >= 0
    if "bias" in require:
        unknown = rows[~known].tolist()
        if unknown:
            yield (
                f"{len(unknown)} training images have no bias attribute: "
                f"{_rows(examples, unknown)}. This strategy needs it for all: fill in the bias "
                "column, or take a strategy that needs no group labels."
            )
    if "some bias" in require and not bool(known.any()):
        yield (
            "no training image has a bias attribute. This strategy learns from it where it is "
            "known: fill in the bias column for some, or take a strategy that needs no group "
            "labels."
        )
    if "groups" in require and (empty := _empty_groups(examples)):
        yield (
            f"no training image in {empty}. This strategy needs every group: add images, "
            "or take a strategy that does not weigh groups."
        )
    if "mask" in require:
        without = [row for row in rows.tolist() if not examples.masks or not examples.masks[row]]
        if without:
            yield (
                f"{len(without)} training images have no mask: {_rows(examples, without)}. This "
                "strategy needs one for each: give the data set's masks option, or take a "
                "strategy that needs no masks."
            )


def _empty_groups(examples: Examples) -> str:
    if not bool((examples.bias >= 0).any()):
        return ""
    return shown(fewer(examples.groups.names, examples.frequencies("train")))


def _rows(examples: Examples, rows: Sequence[int]) -> str:
    return shown([f"row {row + 1} ({examples.images[row]})" for row in rows])
