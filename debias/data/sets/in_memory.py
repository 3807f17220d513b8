"""Torch data sets of your own program as examples, without files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, IterableDataset
from tqdm import tqdm

from debias.csv_files import Columns
from debias.data.examples import SPLITS, Examples
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import pil_pixels
from debias.data.tables.labels import Pairs, bias_columns, read_labels
from debias.errors import InputError

#: Where messages say that the rows come from.
SOURCE = Path("data in memory")


def in_memory(
    *,
    train: Dataset[Any],
    val: Dataset[Any],
    test: Dataset[Any],
    biases: Sequence[str] = ("bias",),
    target_names: Sequence[str] | None = None,
    bias_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    aligned: Pairs | Mapping[str, Pairs] | None = None,
    masks: Path | str | None = None,
) -> Examples:
    """Three torch data sets, one per split, as examples. Their samples are (image, target, bias).

    An image is a PIL image, a uint8 tensor ``(3, H, W)``, ``(1, H, W)`` or ``(H, W)``, or a uint8
    array ``(H, W, 3)`` or ``(H, W)``. Images may have different sizes. Targets and bias values are
    integers from 0, or names. An unknown bias is -1 or ``None``. With several bias attributes, the
    bias of a sample is a tuple of their values.

    Every sample is read once here, for its labels and for a hash of its pixels, which is part of
    the key of a picture cache. Pixels are read again when they are needed, so the data sets must
    not change images at random.

    Args:
        train: the training split. A data set has ``len()`` and gives a sample by its position.
        val: the validation split.
        test: the test split.
        biases: the different names of the bias attributes, other than "target".
        target_names: the classes in order. By default they are the sorted names, or the integers.
        bias_names: the bias values in order, with the same default. With several attributes, the
            values of some attributes, as in ``{"place": ["land", "water"]}``.
        aligned: the bias-aligned (target, bias) pairs, as names or integers. With several
            attributes, the pairs of each attribute, as in ``{"place": [[0, 0], [1, 1]]}``.
        masks: a folder of masks, ``<split>/<position>.png``, or ``None``.

    Returns:
        All splits. The name of an image is ``<split>/<position>``, as in "train/0".

    Raises:
        ValueError: ``biases`` names an attribute twice or "target", a sample is not (image, target,
            bias), an image is of another type, or a target or bias is not a class or bias value.
    """
    biases = _names(biases)
    splits = (train, val, test)
    joined: Dataset[Any] = ConcatDataset([_sized(data) for data in splits])
    lengths = [len(_sized(data)) for data in splits]
    names = [
        f"{split}/{position}"
        for split, length in zip(SPLITS, lengths, strict=True)
        for position in range(length)
    ]
    bar = tqdm(names, desc="reading data in memory", unit="sample", disable=None)
    samples = [_sample(name, joined[row], biases) for row, name in enumerate(bar)]
    cells: dict[str, Sequence[str]] = {"target": [sample.target for sample in samples]}
    cells |= {
        name: [sample.biases[place] for sample in samples] for place, name in enumerate(biases)
    }
    columns = Columns(SOURCE, names, cells, unit="sample")
    labels = read_labels(
        columns,
        "target",
        biases,
        target_names=target_names,
        bias_names=bias_names,
        aligned=aligned,
    )
    held = DatasetImages(joined, tuple(names), tuple(sample.digest for sample in samples))
    split = torch.arange(len(SPLITS)).repeat_interleave(torch.tensor(lengths))
    rows = held.names, labels.target, labels.bias, split, labels.groups
    return with_companions(Examples(Path(), *rows, SOURCE, held=held), masks=masks, fills=None)


@dataclass(frozen=True)
class DatasetImages:
    """The images of a torch data set.

    Args:
        dataset: its samples are (image, target, bias).
        names: the name of each image, for messages.
        digests: hash of the pixels of each image.
    """

    dataset: Dataset[Any]
    names: tuple[str, ...]
    digests: tuple[bytes, ...]

    def read(self, row: int) -> NDArray[np.uint8]:
        """The image of a row.

        Raises:
            ValueError: its pixels are not those that ``digests`` was made of.
        """
        where = f"{SOURCE}, sample {self.names[row]}"
        pixels = pixels_of(self.dataset[row][0], where)
        if _digest(pixels) != self.digests[row]:
            raise InputError(
                f"{where}: its pixels have changed since the first reading: remove random "
                "transforms from the data set, since augmentation is part of the preprocessing"
            )
        return pixels

    def fingerprint(self, row: int) -> bytes:
        """Name and hash of the pixels of an image."""
        return b"\0" + self.names[row].encode() + b"\0" + self.digests[row]


def pixels_of(image: object, where: str) -> NDArray[np.uint8]:
    """An image as ``(H, W, 3)`` uint8 RGB, turned upright if it is a PIL image with an orientation.

    Args:
        image: a PIL image, a uint8 tensor or a uint8 array, as in :func:`in_memory`.
        where: begin of the error message.

    Raises:
        ValueError: the image is of another type or shape.
    """
    array = pil_pixels(image) if isinstance(image, Image.Image) else image
    if isinstance(image, Tensor):
        array = (image.permute(1, 2, 0) if image.ndim == 3 else image).numpy(force=True)
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"{where}: an image must be a PIL image, a uint8 tensor or a uint8 array; got "
            f"{type(image).__name__}"
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3):
        remedy = (
            "convert it to RGB"
            if array.dtype == np.uint8
            else "leave out ToTensor and Normalize, because debias normalises"
        )
        raise InputError(
            f"{where}: an image must be uint8, with 3 channels or 1; got {array.dtype} of "
            f"shape {tuple(array.shape)}: {remedy}"
        )
    pixels: NDArray[np.uint8] = array.reshape(*array.shape[:2], channels)
    return np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if channels == 1 else pixels)


def _names(biases: Sequence[str]) -> list[str]:
    """The names of the bias attributes. The name "target" is refused."""
    names = bias_columns(biases)
    if "target" in names:
        raise InputError(
            f"biases must not name target, which is the class; got biases={names}: give the bias "
            "attribute another name"
        )
    return names


class _Sample(NamedTuple):
    target: str
    biases: tuple[str, ...]
    digest: bytes


def _sized(data: Dataset[Any]) -> Any:
    """The data set itself, which must have a length."""
    if isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
        raise InputError(
            f"{SOURCE}: a data set must have len() and give a sample by its position; got "
            f"{type(data).__name__}: read its samples into a list"
        )
    return data


def _sample(name: str, sample: Any, biases: Sequence[str]) -> _Sample:
    where = f"{SOURCE}, sample {name}"
    if not isinstance(sample, Sequence) or len(sample) != 3:
        size = f" of {len(sample)}" if isinstance(sample, Sequence) else ""
        raise InputError(
            f"{where} must be (image, target, bias); got {type(sample).__name__}{size}: give -1 as "
            "an unknown bias"
        )
    image, target, bias = sample
    values = tuple(bias) if len(biases) > 1 and isinstance(bias, (list, tuple, Tensor)) else (bias,)
    if len(values) != len(biases):
        raise InputError(
            f"{where} must have one bias value for each of {', '.join(biases)}; got {bias!r}"
        )
    return _Sample(_text(target), tuple(map(_text, values)), _digest(pixels_of(image, where)))


def _text(label: object) -> str:
    """A label as the text that a table would contain."""
    value = label.item() if isinstance(label, (Tensor, np.generic)) else label
    return "" if value is None else str(value)


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(pixels.data)
    return digest.digest()
