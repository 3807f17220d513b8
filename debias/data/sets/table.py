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
    """Images listed in a CSV file whose first line names its columns, one row an image.

    Args:
        csv: the file.
        root: the folder that image and mask paths are relative to; left out, the folder of the
            file.
        path: column of the image paths.
        target: column of the classes: integers from 0, or names.
        bias: column of the bias attribute: integers from 0, or names; empty, -1, NA, nan or None
            where unknown, unless ``bias_names`` has it. ``null`` if there is no such column.
        split: column of train, val (or valid, validation) and test, or 0, 1, 2.
        mask: column of the mask paths, empty where an image has none.
        masks: instead, a folder of masks, ``<image without its suffix>.png``.
        fills: a folder of backgrounds filled in elsewhere (by LaMa, say), named like the masks,
            ``.png`` or ``.jpg``.
        target_names: the classes in order; left out, the sorted names in the column, or the
            integers themselves.
        bias_names: likewise for the bias attribute.
        aligned: the (target, bias) pairs that the shortcut favours, as integers.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.

    Returns:
        All splits.

    Raises:
        ValueError: no such file or column, or a cell that is no class, no bias value or no split;
            masks given twice, or a folder of masks or fills that is not there.
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
            f"masks are given twice, by mask={mask} and masks={masks}: leave one of them out"
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
            reason = f"but classes are numbered from 0, below {MOST_VALUES}"
            raise columns.error(int(values.argmax()), column, reason)
        return values, tuple(map(str, range(count)) if names is None else names)
    wrong = {cell for cell in distinct if cell == "" or _is_fraction(cell)}
    missing = {cell for cell in distinct if cell in UNKNOWN and cell not in (names or ())}
    if refused := wrong | missing:
        row = next(row for row, cell in enumerate(cells) if cell in refused)
        if cells[row] in wrong:
            raise columns.error(row, column, "but must be an integer or a name")
        raise columns.error(
            row, column, "as a missing class is written: give one, or list it in target_names"
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
    known = [row for row, cell in enumerate(cells) if cell not in absent]
    if column is None or not known:
        return unknown, ("unknown",) if names is None else tuple(names)
    values, ordered = _classes(columns.take(known), column, names)
    unknown[known] = values
    return unknown, ordered


def _is_fraction(cell: str) -> bool:
    return cell.replace(".", "", 1).lstrip("+-").isdecimal()


def _pairs(
    aligned: Sequence[Sequence[int]] | None, targets: int, biases: int
) -> tuple[tuple[int, int], ...]:
    for pair in aligned or ():
        if len(pair) != 2 or not (0 <= pair[0] < targets and 0 <= pair[1] < biases):
            raise InputError(
                f"aligned holds {list(pair)}: expected [target, bias] below [{targets}, {biases}]"
            )
    return tuple((pair[0], pair[1]) for pair in aligned or ())
