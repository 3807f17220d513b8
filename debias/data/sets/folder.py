"""Your own data, sorted into a tree of folders."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from debias.csv_files import SPLIT_POSITIONS, Columns
from debias.data.examples import Examples
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.labels import Labels
from debias.data.tables.rows import finish_rows
from debias.data.tables.rules import GIVEN_SPLITS, SplitRules
from debias.data.tables.splits import given_splits
from debias.data.tables.subsets import TableRows
from debias.data.trees.reading import IGNORED, read_tree
from debias.data.trees.templates import read_template
from debias.errors import InputError
from debias.types import Groups

TEMPLATES = tuple(map(read_template, ("{split}/{target}/{bias}/*", "{split}/{target}/*")))
COLUMNS = ("path", "split", "target", "bias")
LAYOUTS = "<split>/<target>/<bias>/<image> or <split>/<target>/<image>"


def folder(
    *,
    root: str,
    masks: str | None = None,
    fills: str | None = None,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    rules: SplitRules = GIVEN_SPLITS,
) -> Examples:
    """Images in a tree of folders: ``<split>/<target>/<bias>/<image>``.

    If the bias is unknown, an image is in ``<split>/<target>/<image>``.

    Args:
        root: the folder of the tree. A split is train, val (or valid, validation) or test. Classes
            and bias values are numbered in the order of their sorted folder names. Hidden files and
            files that are not images are ignored. Another folder beside the splits is an error. A
            class or bias value called nan is also an error.
        masks: a folder of foreground masks, ``<image without its suffix>.png``. By default there
            are no masks.
        fills: a folder of backgrounds that another program filled in, such as LaMa. They are named
            like the masks, ``.png`` or ``.jpg``.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.
        rules: drawn splits, and validation images held out of training; see
            :class:`~debias.data.tables.rules.SplitRules`.

    Returns:
        All splits, in order of path.

    Raises:
        ValueError: the folder does not exist or has no image, a folder in it is not a split, an
            image is at another depth, a class or bias value is called nan, or the folder of masks
            or fills does not exist or fits no image.
    """
    columns, misplaced = read_tree(Path(root), TEMPLATES)
    for image in misplaced:
        raise InputError(
            f"{Path(root) / image} is at the wrong depth: expected {LAYOUTS}; for another tree, "
            "set data.name=pattern and its data.pattern, as in {target}/*"
        )
    _check(columns)
    _refuse_others(Path(root))
    targets, target_names = _numbered(columns.cells["target"])
    biases, bias_names = _numbered(columns.cells["bias"])
    labels = Labels(targets, biases, Groups(target_names, bias_names or ("unknown",)))
    every = range(len(columns.lines))
    split = given_splits(columns, "split", every, rules)
    rows = TableRows(columns, columns.paths("path"), every, split)
    examples = finish_rows(rows, labels, rules).examples(
        Path(root), max_pixels=max_pixels, follow_links=follow_links
    )
    return with_companions(examples, masks=masks, fills=fills)


def _refuse_others(root: Path) -> None:
    """Refuse another folder beside the splits, because its pictures would be left out."""
    for place in sorted(path for path in root.iterdir() if path.is_dir()):
        if (
            not is_split(place.name)
            and place.name not in IGNORED
            and not place.name.startswith(".")
        ):
            raise InputError(
                f"{place} is not a split: name it train, val or test, or move it out of {root}"
            )


def is_split(name: str) -> bool:
    """Whether it is the name of a split. A folder 0, 1 or 2 is a class, and no split."""
    return name in SPLIT_POSITIONS and not name.isdecimal()


def _check(columns: Columns) -> None:
    """Refuse folders that are no split, and names that mean a missing label."""
    cells, root = columns.cells, columns.source
    for image, split, *labels in zip(*(cells[name] for name in COLUMNS), strict=True):
        if absent := [name for name in labels if name in ("nan", "NaN")]:
            raise InputError(
                f"{root / image} is in a folder called {absent[0]!r}, which means a missing label: "
                "rename the folder, or move its images"
            )
        if not is_split(split):
            raise InputError(
                f"{root / split} is not a split: name the folder train, val or test (for {image})"
            )


def _numbered(names: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    ordered = sorted(set(names) - {""})
    numbers = {"": -1} | {name: number for number, name in enumerate(ordered)}
    return torch.tensor([numbers[name] for name in names]), tuple(ordered)
