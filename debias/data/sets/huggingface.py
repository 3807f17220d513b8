"""Hugging Face data sets on disk: folders of ``save_to_disk``, and Parquet files with images."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from debias.csv_files import SPLIT_POSITIONS, Columns, absent_column
from debias.data.examples import SPLITS, Examples
from debias.data.listing import files_below
from debias.data.masks.companions import with_companions
from debias.data.pictures.image_store import store_fingerprint
from debias.data.pictures.images import MAX_PIXELS, decode_image
from debias.data.tables.labels import bias_columns, by_column
from debias.data.tables.parquet_files import text_cells
from debias.data.tables.rows import label_rows
from debias.data.tables.rules import NO_RULES, RowRules
from debias.errors import InputError, shown


def huggingface(
    *,
    root: str,
    image: str = "image",
    target: str = "label",
    bias: str | list[str] | None = "bias",
    split: str | None = None,
    target_names: list[str] | None = None,
    bias_names: list[str] | dict[str, list[str]] | None = None,
    aligned: list[list[int | str]] | dict[str, list[list[int | str]]] | None = None,
    masks: str | None = None,
    max_pixels: int = MAX_PIXELS,
    rules: RowRules = NO_RULES,
) -> Examples:
    """A Hugging Face data set on disk. Nothing is downloaded. Needs the extra ``huggingface``.

    Args:
        root: the data set. It is a folder that ``save_to_disk`` wrote, a Parquet file, or a folder
            of Parquet files whose names begin with their split, as in
            ``data/train-00000-of-00001.parquet``. Hidden ones are ignored. Links to folders are
            followed.
        image: column of the images, as bytes of image files.
        target: column of the classes: class labels, integers from 0, or names.
        bias: column of the bias attribute, in the same form. A missing value or -1 is an unknown
            value. Set ``null`` if there is no such column. With a list of columns, each combination
            of their values is one bias value.
        split: column of train, val (or valid, validation) and test, or 0, 1, 2. By default the
            parts of the data set are the splits.
        target_names: the classes in order. By default they are the names of the class labels, the
            sorted names in the column, or the integers themselves.
        bias_names: the bias values in order, with the same default. For several bias columns, the
            values of some columns, as in ``{bg: [land, water]}``.
        aligned: the bias-aligned (target, bias) pairs, as names or integers. For several bias
            columns, the pairs of each column, as in ``{bg: [[0, 0], [1, 1]]}``.
        masks: a folder of masks, named after the images as in ``train/0.png``, or ``None``.
        max_pixels: the most pixels that an image or mask may have.
        rules: values, bins and drawn splits; see :class:`~debias.data.tables.rules.RowRules`.

    Returns:
        All splits. The name of an image is its part and its position in it, as in "train/0".

    Raises:
        ValueError: the data set or a column does not exist, parts are not splits, a cell is not a
            class, bias value or split, or the folder of masks does not exist or fits no image.
    """
    place = Path(root)
    parts, files = _opened(place)
    names = tuple(f"{part}/{row}" for part, data in parts.items() for row in range(len(data)))
    biases = bias_columns(bias)
    wanted = [target, *biases, *([] if split is None else [split]), *rules.columns]
    columns = _columns(place, parts, names, wanted, named=rules.columns)
    labelled = {
        name: found
        for name in {target, *biases} - {*rules.columns}
        if (found := _class_names(place, parts, name))
    }
    given = by_column("bias_names", bias_names, biases, "[land, water]")
    rows = label_rows(
        columns,
        names,
        rules,
        target=target,
        bias=bias,
        split=_splits(place, parts) if split is None and rules.shares is None else split,
        target_names=target_names or labelled.get(target),
        bias_names={name: labelled[name] for name in biases if name in labelled} | dict(given),
        aligned=aligned,
    )
    images: Dataset[Any] = ConcatDataset([_images(place, data, image) for data in parts.values()])
    if len(rows.names) < len(names):
        images = Subset(images, rows.kept)
    held = HuggingFaceImages(place, images, rows.names, _stamp(files), max_pixels)
    examples = rows.examples(place, max_pixels=max_pixels, held=held)
    return with_companions(examples, masks=masks, fills=None)


@dataclass(frozen=True)
class HuggingFaceImages:
    """The images of a Hugging Face data set.

    Args:
        root: the place of the data set, for messages.
        dataset: its samples are ``{"bytes": ...}``, the bytes of image files.
        names: the name of each image.
        stamp: fingerprint of the files of the data set.
        max_pixels: the most pixels that an image may have.
    """

    root: Path
    dataset: Dataset[Any]
    names: tuple[str, ...]
    stamp: bytes
    max_pixels: int = MAX_PIXELS

    def read(self, row: int) -> NDArray[np.uint8]:
        """Decode the image of a row.

        Raises:
            ValueError: there are no bytes, or they are no image.
        """
        (cell,) = self.dataset[row].values()
        name = f"{self.root}, {self.names[row]}"
        if not cell or cell["bytes"] is None:
            raise InputError(
                f"picture {name} has no bytes: save the data set again by save_to_disk, which "
                "includes image files, or remove its row"
            )
        return decode_image(cell["bytes"], name, max_pixels=self.max_pixels)

    def fingerprint(self, row: int) -> bytes:
        """Name of the image, and the stamp of the files of the data set."""
        return b"\0" + self.names[row].encode() + b"\0" + self.stamp


def _opened(root: Path) -> tuple[dict[str, Any], list[Path]]:
    """The parts of a data set by name, and its files. A data set without parts is named "all"."""
    datasets = _datasets()
    if not root.exists():
        raise InputError(f"no data set {root}: correct data.root, or download it there")
    try:
        if root.is_dir() and not (by_split := _parquet_files(root)):
            loaded = datasets.load_from_disk(str(root))
            parts = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"all": loaded}
            caches = (cache for data in parts.values() for cache in data.cache_files)
            return parts, [Path(cache["filename"]) for cache in caches]
        by_split = by_split if root.is_dir() else {"all": [root]}
        read = datasets.Dataset.from_parquet
        parts = {split: read([str(file) for file in files]) for split, files in by_split.items()}
        return parts, [file for files in by_split.values() for file in files]
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(
            f"{root} cannot be read as a Hugging Face data set ({reason}): name a folder of "
            "save_to_disk or Parquet files"
        ) from None


def _parquet_files(root: Path) -> dict[str, list[Path]]:
    """The Parquet files of a folder by their split, which their names begin with."""
    by_split: dict[str, list[Path]] = {}
    for file in (path for path in files_below(root) if path.suffix == ".parquet"):
        by_split.setdefault(file.stem.partition("-")[0], []).append(file)
    return by_split


def _columns(
    root: Path,
    parts: dict[str, Any],
    names: Sequence[str],
    wanted: list[str],
    *,
    named: Collection[str],
) -> Columns:
    """Some columns as text. In those of ``named``, class labels are names and not numbers."""
    cells: dict[str, Sequence[str]] = {}
    for column in dict.fromkeys(wanted):
        cells[column] = [cell for data in parts.values() for cell in _cells(root, data, column)]
        if column in named and (names_of := _class_names(root, parts, column)):
            of_number = {"": "", "-1": ""} | {str(n): name for n, name in enumerate(names_of)}
            cells[column] = [of_number[cell] for cell in cells[column]]
    return Columns(root, names, cells, unit="row")


def _cells(root: Path, data: Any, column: str) -> list[str]:
    _check_column(root, data, column)
    return text_cells(root, column, data.select_columns(column).with_format("arrow")[:][column])


def _check_column(root: Path, data: Any, column: str) -> None:
    if column not in data.column_names:
        hint = ". Set data.image, data.target, data.bias (or null) and data.split to its columns"
        raise absent_column(root, data.column_names, column, hint)


def _images(root: Path, data: Any, column: str) -> Any:
    """The column of images alone, as bytes."""
    _check_column(root, data, column)
    feature = _datasets().Image(decode=False)
    try:
        return data.select_columns(column).cast_column(column, feature)
    except (TypeError, ValueError, NotImplementedError):
        raise InputError(
            f"{root}: the column {column!r} is {data.features[column]}, but must contain images: "
            "set data.image to the column of the images"
        ) from None


def _class_names(root: Path, parts: dict[str, Any], column: str) -> list[str] | None:
    """The names of a column of class labels, or ``None``."""
    every = {tuple(getattr(data.features[column], "names", None) or ()) for data in parts.values()}
    if len(every) > 1:
        raise InputError(
            f"{root}: parts have different class labels in {column!r}: {shown(sorted(every))}; "
            "give all parts the same"
        )
    return list(every.pop()) or None if every else None


def _splits(root: Path, parts: dict[str, Any]) -> Tensor:
    """``(N,)`` int64 split of each row by the name of its part."""
    if other := [part for part in parts if part not in SPLIT_POSITIONS]:
        raise InputError(
            f"{root} has the parts {shown(list(parts))}, and {other[0]!r} is no split: name them "
            f"{', '.join(SPLITS)}, or set data.split to the column of the splits"
        )
    counts = torch.tensor([len(data) for data in parts.values()])
    return torch.tensor([SPLIT_POSITIONS[part] for part in parts]).repeat_interleave(counts)


def _stamp(files: Iterable[Path]) -> bytes:
    digest = hashlib.sha256()
    for file in files:
        digest.update(store_fingerprint(file.parent, file.name))
    return digest.digest()


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        remedy = 'pip install "debias-vision[huggingface]"'
        raise InputError(f"data.name=huggingface needs datasets: {remedy}") from None
    return datasets
