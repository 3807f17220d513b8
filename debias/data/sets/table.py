"""Your own data, listed in one CSV file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from debias.csv_files import MOST_VALUES, UNKNOWN, Columns, is_integer, read_csv
from debias.data.examples import Examples
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.errors import InputError
from debias.types import Groups


def table(
    *,
    csv: str,
    root: str | None = None,
    path: str = "path",
    target: str = "target",
    bias: str | None = "bias",
    split: str = "split",
    mask: str | None = None,
    masks: str | None = None,
    fills: str | None = None,
    target_names: list[str] | None = None,
    bias_names: list[str] | None = None,
    aligned: list[list[int]] | None = None,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """Images listed in a CSV file: one row per image. The first line names the columns.

    Args:
        csv: the file.
        root: the folder that image and mask paths are relative to. By default it is the folder of
            the file.
        path: column of the image paths.
        target: column of the classes: integers from 0, or names.
        bias: column of the bias attribute: integers from 0, or names. A cell that is empty, -1, NA,
            nan or None is an unknown value, unless ``bias_names`` contains it. Set ``null`` if
            there is no such column.
        split: column of train, val (or valid, validation) and test, or 0, 1, 2.
        mask: column of the mask paths. The cell is empty if the image has no mask.
        masks: a folder of masks, ``<image without its suffix>.png``, instead of ``mask``.
        fills: a folder of backgrounds that another program filled in, such as LaMa. They are named
            like the masks, ``.png`` or ``.jpg``.
        target_names: the classes in order. By default they are the sorted names in the column, or
            the integers themselves.
        bias_names: the bias values in order, with the same default.
        aligned: the bias-aligned (target, bias) pairs, as integers.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.

    Returns:
        All splits.

    Raises:
        ValueError: the file or a column does not exist, a cell is not a class, bias value or split,
            an aligned pair is not below the numbers of classes and bias values, both ``mask`` and
            ``masks`` are given, or the folder of masks or fills does not exist or fits no image.
    """
    columns = _columns(Path(csv), path, target, split, bias, mask=mask, masks=masks)
    labels, label_names = _classes(columns, target, target_names)
    biases, names = _biases(columns, bias, bias_names)
    groups = Groups(label_names, names, _pairs(aligned, len(label_names), len(names)))
    folder = Path(csv).parent if root is None else Path(root)
    rows = columns.paths(path), labels, biases, columns.splits(split)
    examples = Examples(
        folder, *rows, groups, columns.source, max_pixels=max_pixels, follow_links=follow_links
    )
    if mask is not None:
        examples = replace(examples, mask_root=folder, masks=tuple(columns.cells[mask]))
    return with_companions(examples, masks=masks, fills=fills)


def _columns(source: Path, *names: str | None, mask: str | None, masks: str | None) -> Columns:
    if mask is not None and masks is not None:
        raise InputError(
            f"masks are given twice, by mask={mask} and masks={masks}: leave one option out"
        )
    wanted = dict.fromkeys(name for name in (*names, mask) if name is not None)
    return read_csv(source, list(wanted))


def _classes(
    columns: Columns, column: str, names: Sequence[str] | None
) -> tuple[Tensor, tuple[str, ...]]:
    cells = columns.cells[column]
    distinct = set(cells)
    if any(map(is_integer, distinct)):
        values = columns.integers(column)
        count = int(values.max()) + 1
        if count > MOST_VALUES:
            reason = f"but must be a number from 0, below {MOST_VALUES}"
            raise columns.error(int(values.argmax()), column, reason)
        return values, tuple(map(str, range(count)) if names is None else names)
    wrong = {cell for cell in distinct if cell == "" or _is_fraction(cell)}
    missing = {cell for cell in distinct if cell in UNKNOWN and cell not in (names or ())}
    if refused := wrong | missing:
        row = next(row for row, cell in enumerate(cells) if cell in refused)
        if cells[row] in wrong:
            raise columns.error(row, column, "but must be an integer or a name")
        raise columns.error(
            row, column, "which means a missing class: give one, or list it in target_names"
        )
    ordered = tuple(sorted(distinct) if names is None else names)
    return columns.choices(column, {name: value for value, name in enumerate(ordered)}), ordered


def _biases(
    columns: Columns, column: str | None, names: Sequence[str] | None
) -> tuple[Tensor, tuple[str, ...]]:
    absent = set(UNKNOWN) - set(names or ())
    if column is not None and absent.isdisjoint(columns.cells[column]):
        return _classes(columns, column, names)
    unknown = torch.full((len(columns.lines),), -1, dtype=torch.int64)
    cells = [""] * len(unknown) if column is None else columns.cells[column]
    labelled = [row for row, cell in enumerate(cells) if cell not in absent]
    if column is None or not labelled:
        return unknown, ("unknown",) if names is None else tuple(names)
    values, ordered = _classes(columns.take(labelled), column, names)
    unknown[labelled] = values
    return unknown, ordered


def _is_fraction(cell: str) -> bool:
    return cell.replace(".", "", 1).lstrip("+-").isdecimal()


def _pairs(
    aligned: Sequence[Sequence[int]] | None, targets: int, biases: int
) -> tuple[tuple[int, int], ...]:
    for pair in aligned or ():
        if len(pair) != 2 or not (0 <= pair[0] < targets and 0 <= pair[1] < biases):
            raise InputError(
                f"aligned must hold pairs [target, bias] below [{targets}, {biases}]; got "
                f"{list(pair)}. Correct the pair"
            )
    return tuple((pair[0], pair[1]) for pair in aligned or ())
