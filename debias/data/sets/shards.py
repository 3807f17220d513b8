"""WebDataset shards: tar files of samples, on a local or a shared disk."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from debias.csv_files import SPLIT_POSITIONS
from debias.data.examples import Examples
from debias.data.listing import files_below
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.data.pictures.shards import (
    NAME,
    OFFSET,
    SHARD,
    SIZE,
    ShardImages,
    read_index,
    stamps_of,
)
from debias.data.tables.labels import bias_columns
from debias.data.tables.rows import label_rows
from debias.data.tables.rules import NO_RULES, RowRules
from debias.errors import InputError


def shards(
    *,
    root: str,
    target: str = "cls",
    bias: str | list[str] | None = "bias",
    split: str | None = None,
    target_names: list[str] | None = None,
    bias_names: list[str] | dict[str, list[str]] | None = None,
    aligned: list[list[int | str]] | dict[str, list[list[int | str]]] | None = None,
    masks: str | None = None,
    max_pixels: int = MAX_PIXELS,
    rules: RowRules = NO_RULES,
) -> Examples:
    """WebDataset shards: uncompressed tar files, with an image and labels for each sample.

    A sample is the members ``KEY.jpg`` (or another image), ``KEY.cls`` and ``KEY.json``. Every
    member of at most 64 bytes is a label by its extension, and so is every number, and every text
    of at most 1,000 characters, in the JSON object. The first reading of the shards writes an index
    beside them. By this index, images are read in any order, so that orders, resumed runs and
    several processes are as exact as with files.

    Args:
        root: the folder of the shards, which may be in folders inside it. Hidden files and folders
            are ignored. Links to folders are followed.
        target: label of the classes: integers from 0, or names.
        bias: label of the bias attribute, in the same form. An empty or absent one is an unknown
            value. Set ``null`` if there is none. With a list, each combination of their values is
            one bias value.
        split: label of train, val (or valid, validation) and test, or 0, 1, 2. By default the name
            of a shard or of its folder has the split as a word, as in ``train-000000.tar``.
        target_names: the classes in order. By default they are the sorted names, or the integers
            themselves.
        bias_names: the bias values in order, with the same default. For several labels, the values
            of some of them, as in ``{bg: [land, water]}``.
        aligned: the bias-aligned (target, bias) pairs, as names or integers. For several labels,
            the pairs of each, as in ``{bg: [[0, 0], [1, 1]]}``.
        masks: a folder of masks, named after the images as in ``train-000000/0017.png``, or
            ``None``.
        max_pixels: the most pixels that an image or mask may have.
        rules: values, bins and drawn splits; see :class:`~debias.data.tables.rules.RowRules`.

    Returns:
        All splits. The name of an image is its shard and its key, as in "train-000000/0017".

    Raises:
        ValueError: there is no shard, a shard cannot be read or names no split, a label does not
            exist, a cell is not a class, bias value or split, or the folder of masks does not exist
            or fits no image.
    """
    place = Path(root)
    files = _shards(place)
    wanted = [target, *bias_columns(bias), *([] if split is None else [split]), *rules.columns]
    columns = read_index(place, files, wanted)
    numbers = [columns.integers(name) for name in (SHARD, OFFSET, SIZE)]
    by_shard = split is None and rules.shares is None
    rows = label_rows(
        columns,
        columns.cells[NAME],
        rules,
        target=target,
        bias=bias,
        split=_splits(place, files)[numbers[0]] if by_shard else split,
        target_names=target_names,
        bias_names=bias_names,
        aligned=aligned,
    )
    places = np.stack([number.numpy() for number in numbers], axis=1)[list(rows.kept)]
    held = ShardImages(place, tuple(files), stamps_of(place, files), rows.names, places, max_pixels)
    examples = rows.examples(place, max_pixels=max_pixels, held=held)
    return with_companions(examples, masks=masks, fills=None)


def _shards(root: Path) -> list[str]:
    if not root.is_dir():
        raise InputError(f"no folder of shards {root}: correct data.root")
    files = (path.relative_to(root).as_posix() for path in files_below(root))
    found = sorted(file for file in files if file.endswith(".tar"))
    if not found:
        raise InputError(
            f"no shard in {root}: expected files such as train-000000.tar; unpack compressed ones"
        )
    return found


def _splits(root: Path, shards: Sequence[str]) -> Tensor:
    """``(shards,)`` int64 split of each shard, which a word of its path names."""
    positions = []
    for shard in shards:
        words = re.split(r"[^a-z]+", shard.lower())
        named = {SPLIT_POSITIONS[word] for word in words if word in SPLIT_POSITIONS}
        if len(named) != 1:
            raise InputError(
                f"{root / shard} names {'no split' if not named else 'several splits'}: name it "
                "like train-000000.tar, or set data.split to a label, or data.shares"
            )
        positions.append(named.pop())
    return torch.tensor(positions)
