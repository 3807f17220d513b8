"""Images in NumPy arrays, with their labels in a CSV file or in arrays beside them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from debias.csv_files import Columns, read_csv
from debias.data.examples import Examples
from debias.data.listing import files_below
from debias.data.masks.companions import with_companions
from debias.data.pictures.array_store import (
    ArrayImages,
    array_names,
    file_and_member,
    open_array,
    open_images,
)
from debias.data.tables.labels import bias_columns
from debias.data.tables.rows import label_rows
from debias.data.tables.rules import NO_RULES, RowRules
from debias.data.trees.templates import PART, filled, read_template
from debias.errors import InputError


def arrays(
    *,
    root: str,
    images: str = "images.npy",
    labels: str | None = "labels.csv",
    columns: list[str] | None = None,
    blocks: dict[str, list[str]] | None = None,
    target: str = "target",
    bias: str | list[str] | None = "bias",
    split: str | None = "split",
    target_names: list[str] | None = None,
    bias_names: list[str] | dict[str, list[str]] | None = None,
    aligned: list[list[int | str]] | dict[str, list[list[int | str]]] | None = None,
    masks: str | None = None,
    rules: RowRules = NO_RULES,
) -> Examples:
    """Images in ``.npy`` or ``.npz`` files, ``(N, H, W)`` or ``(N, H, W, channels)`` uint8.

    Names of arrays may have fields, such as ``{split}/images.npy``; see ``pattern``. Each field is
    a column of the table.

    One channel is grey. Two channels are red and green, and blue is 0. Files of pickled objects are
    refused.

    Args:
        root: the folder of the files.
        images: the arrays of images: a ``.npy`` file, or ``FILE.npz:ARRAY``. With fields, all
            arrays whose names fit. Hidden ones are ignored. Links to folders are followed.
        labels: the labels of each array of images, with the same fields. A CSV file has the names
            of its columns in the first line, and one row per image. An array is ``(N,)`` or ``(N,
            columns)``. ``null``: all columns are fields.
        columns: names of the columns, if ``labels`` is an array. By default ``[target]``.
        blocks: further columns, with the values that equal blocks of each array's rows have, one
            after the other: ``{severity: ["1", "2"]}`` for two blocks, ``{split: [test]}`` for all
            rows.
        target: column of the classes: integers from 0, or names.
        bias: column of the bias attribute, or a list of columns, or ``null``; see ``table``.
        split: column of train, val (or valid, validation) and test, or 0, 1, 2. It is not read if
            ``shares`` draws the splits.
        target_names: the classes in order; see ``table``.
        bias_names: the bias values in order; see ``table``.
        aligned: the bias-aligned (target, bias) pairs, as names or integers; see ``table``.
        masks: a folder of masks, named after the images as in ``images/17.png``, or ``null``.
        rules: values, bins and drawn splits; see :class:`~debias.data.tables.rules.RowRules`.

    Returns:
        All splits. An image is named by its array and its row from 0, as in "train/images/17".

    Raises:
        ValueError: no array fits, an array is not of images, the numbers of images and labels
            differ, a column is missing or has a wrong cell, or the folder of masks does not exist
            or fits no image.
    """
    folder = Path(root)
    found = list(_matching(folder, images))
    if not found:
        raise InputError(f"no array {images} in {root}: correct root or images")
    parts = [_table(folder, array, labels, columns or [target], blocks or {}) for array in found]
    read = _joined(folder / images, parts)
    split = split if rules.shares is None else None
    wanted = [target, split, *bias_columns(bias), *rules.columns]
    for name in filter(None, wanted):
        read.column(name)
    rows = label_rows(
        read,
        tuple(map(str, read.lines)),
        rules,
        target=target,
        bias=bias,
        split=split,
        target_names=target_names,
        bias_names=bias_names,
        aligned=aligned,
    )
    sizes = [part.size for part in parts]
    which = np.repeat(np.arange(len(parts)), sizes)[rows.kept]
    position = np.concatenate([np.arange(size) for size in sizes])[rows.kept]
    store = ArrayImages(folder, tuple(part.name for part in parts), which, position)
    return with_companions(rows.examples(folder, held=store), masks=masks, fills=None)


class _Array(NamedTuple):
    """One array of images that fits the name, and the values of the fields in its name."""

    name: str
    fields: Mapping[str, str]


class _Table(NamedTuple):
    """The columns of the images of one array."""

    name: str
    size: int
    cells: Mapping[str, Sequence[str]]


def _matching(root: Path, text: str) -> Iterator[_Array]:
    """The arrays whose names fit, in order of their names."""
    file, member = file_and_member(text)
    files = read_template(file)
    for path in files_below(root) if PART.search(file) else [root / file]:
        name = path.relative_to(root).as_posix()
        if (fits := files.matcher.fullmatch(name)) and path.is_file():
            for inner, fields in _members(path, member):
                yield _Array(f"{name}:{inner}" if inner else name, fits.groupdict() | fields)


def _members(path: Path, member: str) -> list[tuple[str, dict[str, str]]]:
    """The arrays of a ``.npz`` file whose names fit, with their fields."""
    if not PART.search(member):
        return [(member, {})]
    matcher = read_template(member).matcher
    fits = [matcher.fullmatch(name) for name in array_names(path)]
    return [(found[0], found.groupdict()) for found in fits if found]


def _table(
    root: Path,
    array: _Array,
    labels: str | None,
    names: Sequence[str],
    blocks: Mapping[str, Sequence[str]],
) -> _Table:
    count = len(open_images(root, array.name))
    cells = {} if labels is None else dict(_labels(root, _filled(labels, array), names))
    for column, values in cells.items():
        if len(values) != count:
            raise InputError(
                f"{root / array.name} has {count} images, but {labels} has {len(values)} rows of "
                f"{column}: give one row per image, in the same order"
            )
    if twice := cells.keys() & {*array.fields, *blocks}:
        raise InputError(
            f"the column {min(twice)} is in {labels} and also in data.images or data.blocks: "
            "rename one of them"
        )
    cells |= {field: [value] * count for field, value in array.fields.items()}
    for column, values in blocks.items():
        if not values or count % len(values):
            raise InputError(
                f"{root / array.name} has {count} images, which are not {len(values)} equal blocks "
                f"of {column}: correct blocks"
            )
        cells[column] = [value for value in values for _ in range(count // len(values))]
    return _Table(array.name, count, cells)


def _filled(labels: str, array: _Array) -> str:
    unknown = [part[1] for part in PART.finditer(labels) if part[1] not in array.fields]
    if unknown:
        raise InputError(
            f"labels={labels} has the field {unknown[0]}, but images has "
            f"{', '.join(array.fields) or 'none'}: use the same fields in both"
        )
    return filled(labels, array.fields, 0)


def _labels(root: Path, name: str, columns: Sequence[str]) -> Mapping[str, Sequence[str]]:
    if name.endswith(".csv"):
        return read_csv(root / name).cells
    values = open_array(root, name)
    values = values.reshape(len(values), -1)
    if values.dtype.kind not in "iuU" or values.shape[1] != len(columns):
        raise InputError(
            f"{root / name} holds {values.dtype} in {values.shape[1]} columns: labels must be "
            f"integers or text, one column for each of columns={list(columns)}"
        )
    return {
        name: list(map(str, cells)) for name, cells in zip(columns, values.T.tolist(), strict=True)
    }


def _joined(source: Path, tables: Sequence[_Table]) -> Columns:
    """The columns of all arrays, one after the other."""
    names = list(tables[0].cells)
    if other := [table for table in tables if list(table.cells) != names]:
        raise InputError(
            f"{source}: {other[0].name} has the columns {', '.join(other[0].cells)}, and "
            f"{tables[0].name} has {', '.join(names)}: they must be the same"
        )
    cells: dict[str, Sequence[str]] = {
        name: [cell for table in tables for cell in table.cells[name]] for name in names
    }
    lines = [f"{_stem(table.name)}/{row}" for table in tables for row in range(table.size)]
    return Columns(source, lines, cells, unit="image")


def _stem(name: str) -> str:
    """The name of an array without suffix: "train/images" of ``train/images.npy``."""
    file, member = file_and_member(name)
    return "/".join(part for part in (str(Path(file).with_suffix("").as_posix()), member) if part)
