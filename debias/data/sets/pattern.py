"""A tree of images whose paths have the labels, described by templates."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from debias.csv_files import Columns
from debias.data.examples import SPLITS, Examples
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.labels import bias_columns
from debias.data.tables.rows import label_rows
from debias.data.tables.rules import NO_RULES, RowRules
from debias.data.trees.domains import Splits, domain_splits, per_group_splits
from debias.data.trees.reading import read_tree
from debias.data.trees.templates import RESERVED, read_template
from debias.errors import InputError, check_one_of, near
from debias.progress import say


def pattern(
    *,
    root: str,
    pattern: str | list[str],
    target: str = "target",
    bias: str | list[str] | None = "bias",
    split: str = "split",
    only: dict[str, str] | None = None,
    test_domains: list[str] | None = None,
    per_group: list[int] | None = None,
    unmatched: str = "refuse",
    target_names: list[str] | None = None,
    bias_names: list[str] | dict[str, list[str]] | None = None,
    aligned: list[list[int | str]] | dict[str, list[list[int | str]]] | None = None,
    rules: RowRules = NO_RULES,
    masks: str | None = None,
    fills: str | None = None,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """Images in a tree of folders whose paths match a template, as in ``{split}/{target}/*``.

    Args:
        root: the folder of the tree. Hidden files, and files that are not images, are ignored.
        pattern: a template of the paths below ``root``, or several. The first that matches a path
            counts. ``{name}`` is a field: some text in the name of one folder or file, as short as
            possible. A field that occurs twice must have the same text at both places. ``{_}`` is
            ignored, ``{name:number}`` has only digits, ``{name:a|b}`` is ``a`` or ``b``, and ``*``
            is any text. A field that the template of an image does not have is unknown.
        target: the field of the classes: integers from 0, or names.
        bias: the field of the bias attribute, or several. Without this field, the bias is unknown.
        split: the field of train, val (or valid, validation) and test, or 0, 1, 2. If it is
            "train", "val" or "test" and no field, all images are in this split.
        only: the text that a field must have, as in ``{percent: 1pct}``. Images with another text
            are left out.
        test_domains: values of the bias field whose images are the test split. All others are
            training. There must then be no field of splits.
        per_group: numbers of validation and test images to draw from each group, as in ``[25,
            50]``. A group with fewer images has no training image. There must then be no field of
            splits.
        unmatched: "refuse" makes an image that matches no template an error. "leave_out" leaves
            such images out.
        target_names: the classes in order. By default they are the sorted names, or the integers.
        bias_names: the bias values in order, with the same default. For several fields, the values
            of some fields, as in ``{bg: [land, water]}``.
        aligned: the bias-aligned (target, bias) pairs, as names or integers. For several fields,
            the pairs of each field, as in ``{bg: [[0, 0], [1, 1]]}``.
        rules: how fields become labels and splits.
        masks: a folder of foreground masks, ``<image without its suffix>.png``. By default there
            are no masks.
        fills: a folder of backgrounds that another program filled in, such as LaMa. They are named
            like the masks, ``.png`` or ``.jpg``.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.

    Returns:
        All splits, in order of path.

    Raises:
        ValueError: the folder does not exist, no image matches, an image matches no template, a
            template is not valid, a field does not exist, its text is not a class, bias value or
            split, ``test_domains`` or ``per_group`` does not fit the fields, or two options make
            splits.
    """
    check_one_of(("refuse", "leave_out"), {"data.unmatched": unmatched})
    _check_one_draw(rules.shares, test_domains, per_group)
    texts = [pattern] if isinstance(pattern, str) else pattern
    columns = _chosen(_columns(Path(root), texts, leave_out=unmatched == "leave_out"), only or {})
    biases = bias_columns(None if bias == "bias" and bias not in columns.cells else bias)
    _check_fields(columns, [target, *biases])
    splits = domain_splits(columns, _given_splits(columns, split), biases, test_domains)
    splits = per_group_splits(columns, splits, [target, *biases], per_group, rules)
    rows = label_rows(
        columns,
        columns.cells["path"],
        rules,
        target=target,
        bias=biases,
        split=splits,
        target_names=target_names,
        bias_names=bias_names,
        aligned=aligned,
    )
    examples = rows.examples(Path(root), max_pixels=max_pixels, follow_links=follow_links)
    return with_companions(examples, masks=masks, fills=fills)


def _columns(root: Path, texts: Sequence[str], *, leave_out: bool) -> Columns:
    columns, unmatched = read_tree(root, [*map(read_template, texts)], others=leave_out)
    count = len(columns.lines) + len(unmatched)
    if unmatched and not columns.lines:
        raise InputError(
            f"none of {count} images in {root} matches {' or '.join(texts)}, such as "
            f"{unmatched[0]}: correct data.root or data.pattern"
        )
    if unmatched and not leave_out:
        raise InputError(
            f"{len(unmatched)} of {count} images in {root} match no template, such as "
            f"{unmatched[0]}: add a template to data.pattern, or set data.unmatched=leave_out"
        )
    if unmatched:
        left_out = f"{len(unmatched)} images match no template and are left out"
        say(f"{root}: {left_out}, such as {unmatched[0]}")
    return columns


def _check_one_draw(*options: object) -> None:
    names = ("data.shares", "data.test_domains", "data.per_group")
    given = [name for name, value in zip(names, options, strict=True) if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} each make splits: set all but one to null")


def _given_splits(columns: Columns, split: str) -> Splits:
    """The field of the splits, the one split of all images, or ``None`` without splits."""
    if split in SPLITS and split not in columns.cells:
        return torch.full((len(columns.lines),), SPLITS.index(split), dtype=torch.int64)
    if split == "split" and split not in columns.cells:
        return None
    _check_fields(columns, [split])
    return split


def _check_fields(columns: Columns, names: Sequence[str]) -> None:
    fields = [name for name in columns.cells if name not in RESERVED]
    for name in names:
        if name not in fields:
            raise InputError(f"data.pattern has no field {{{name}}}; {near(name, fields)}")


def _chosen(columns: Columns, only: Mapping[str, str]) -> Columns:
    """The rows whose fields have the given texts; a row without such a field stays."""
    for field, text in only.items():
        _check_fields(columns, [field])
        cells = columns.cells[field]
        rows = [row for row, cell in enumerate(cells) if cell in ("", str(text))]
        if str(text) not in cells:
            raise InputError(
                f"data.only.{field}: {columns.source} has no {text!r}; {near(text, set(cells))}"
            )
        columns = columns.take(rows)
    return columns
