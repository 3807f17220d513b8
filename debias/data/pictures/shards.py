"""WebDataset shards: an index of their samples, and the images by row."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.csv_files import Columns, absent_column, read_csv
from debias.data.pictures.image_store import store_fingerprint
from debias.data.pictures.images import MAX_PIXELS, decode_image
from debias.data.trees.reading import IMAGE_SUFFIXES
from debias.errors import InputError
from debias.files import write_atomically
from debias.progress import each, say

#: Extensions of the members that are images.
IMAGES = tuple(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)
#: A member of at most this many bytes, such as KEY.cls, is a label. Longer ones are ignored, as
#: captions are.
LABEL_BYTES = 64
#: So are longer texts in KEY.json.
LABEL_CHARACTERS = 1000
#: Columns of the index beside the labels: the name of a sample, and where its image is.
NAME, SHARD, OFFSET, SIZE = "__name__", "__shard__", "__offset__", "__size__"


class ShardSample(NamedTuple):
    """A sample of a shard.

    Attributes:
        name: the shard without its suffix, and the key of the sample, as in "train-000/0017".
        offset: position of the image in the shard, in bytes.
        size: bytes of the image.
        labels: the text of each label.
    """

    name: str
    offset: int
    size: int
    labels: dict[str, str]


@dataclass(frozen=True)
class ShardImages:
    """The images of shards, which are read at their positions, in any order.

    Args:
        root: folder of the shards.
        shards: paths of the shards, relative to ``root``.
        stamps: fingerprint of each shard, as text.
        names: the name of each image.
        places: ``(N, 3)`` int64: number of the shard, offset and bytes of each image.
        max_pixels: the most pixels that an image may have.
    """

    root: Path
    shards: tuple[str, ...]
    stamps: tuple[str, ...]
    names: tuple[str, ...]
    places: NDArray[np.int64]
    max_pixels: int = MAX_PIXELS

    def read(self, row: int) -> NDArray[np.uint8]:
        """Decode the image of a row.

        Raises:
            ValueError: the shard has changed or cannot be read, or the bytes are no image.
        """
        number, offset, size = self.places[row].tolist()
        name = f"{self.root}, {self.names[row]}"
        try:
            with open(self.root / self.shards[number], "rb", buffering=0) as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise InputError(
                f"cannot read picture {name} ({error.strerror}): restore the shard"
            ) from error
        return decode_image(data, name, max_pixels=self.max_pixels)

    def fingerprint(self, row: int) -> bytes:
        """Name and place of an image, and the stamp of its shard."""
        number, offset, size = self.places[row].tolist()
        return f"\0{self.names[row]}\0{offset}\0{size}\0{self.stamps[number]}\0".encode()


def read_index(root: Path, shards: Sequence[str], wanted: Sequence[str]) -> Columns:
    """The index of all samples: their places, and some of their labels.

    The first call reads the headers of all members, and keeps the index beside the shards, in a
    file ``debias-index-*.csv``. Its name depends on the shards, so a changed shard is read again.

    Args:
        root: folder of the shards.
        shards: their paths, relative to ``root``.
        wanted: names of the labels.

    Raises:
        ValueError: a shard is no uncompressed tar file, a sample has no image or several, or no
            sample has such a label.
    """
    digest = hashlib.sha256("\0".join(stamps_of(root, shards)).encode())
    path = root / f"debias-index-{digest.hexdigest()[:16]}.csv"
    if not path.is_file():
        _write_index(root, shards, path)
    with path.open(encoding="utf-8", newline="") as file:
        labels = next(csv.reader(file))[4:]
    if absent := [name for name in wanted if name not in labels]:
        hint = ". Set data.target, data.bias (or null) and data.split to labels of the samples"
        raise absent_column(root, labels, absent[0], hint)
    columns = read_csv(path, [NAME, SHARD, OFFSET, SIZE, *dict.fromkeys(wanted)], exact=True)
    return replace(columns, source=root, lines=columns.cells[NAME], unit="sample")


def stamps_of(root: Path, shards: Sequence[str]) -> tuple[str, ...]:
    """The fingerprint of each shard, as text."""
    return tuple(store_fingerprint(root, shard).hex() for shard in shards)


def _write_index(root: Path, shards: Sequence[str], path: Path) -> None:
    names, places, labels = list[str](), array("q"), dict[str, list[str]]()
    for number, shard in enumerate(each(shards, "reading the headers of shards", "shard")):
        for name, offset, size, own in _samples(root, shard):
            for label in {*labels, *own}:
                cells = labels.setdefault(label, [""] * len(names))
                cells.append(sys.intern(own.get(label, "")))
            names.append(name)
            places.extend((number, offset, size))
    if not names:
        raise InputError(f"the shards in {root} have no sample: set data.root to others")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([NAME, SHARD, OFFSET, SIZE, *labels])
    where = (places[::3], places[1::3], places[2::3])
    table.writerows(zip(names, *where, *labels.values(), strict=True))
    write_atomically(path, text.getvalue())
    for old in set(root.glob("debias-index-*.csv")) - {path}:
        old.unlink(missing_ok=True)
    say(f"{path}: the places and labels of {len(names)} samples in {len(shards)} shards")


def _samples(root: Path, shard: str) -> Iterator[ShardSample]:
    """The samples of a shard: members one after the other whose names differ in the extension."""
    key, found = "", dict[str, tarfile.TarInfo]()
    try:
        with tarfile.open(root / shard, "r:") as file:
            for member in file:
                folder, _, name = member.name.removeprefix("./").rpartition("/")
                stem, _, extension = name.partition(".")
                if not member.isreg() or member.issparse() or not stem:
                    continue  # such as a folder or a hidden file
                own = f"{folder}/{stem}" if folder else stem
                if own != key:
                    yield from _sample(root, shard, key, found, file)
                    key, found = own, {}
                found[extension.lower()] = member
            yield from _sample(root, shard, key, found, file)
    except tarfile.TarError as error:
        raise InputError(
            f"{root / shard} cannot be read as an uncompressed tar file ({error}): unpack a "
            "compressed one, or copy it again"
        ) from None


def _sample(
    root: Path, shard: str, key: str, found: dict[str, tarfile.TarInfo], file: tarfile.TarFile
) -> Iterator[ShardSample]:
    if not found:
        return
    images = [extension for extension in IMAGES if extension in found]
    if len(images) != 1:
        raise InputError(
            f"{root / shard}: the sample {key} has {len(images)} images, but must have one of "
            f"{', '.join(IMAGES)}; it has {', '.join(sorted(found))}"
        )
    image, labels = found[images[0]], dict[str, str]()
    for extension, member in found.items():
        if extension == "json":
            labels |= _json_labels(root, shard, key, _bytes(file, member))
        elif extension != images[0] and member.size <= LABEL_BYTES:
            labels[extension] = _line(_bytes(file, member).decode("utf-8", "replace"))
    yield ShardSample(f"{shard.removesuffix('.tar')}/{key}", image.offset_data, image.size, labels)


def _json_labels(root: Path, shard: str, key: str, data: bytes) -> dict[str, str]:
    """The short texts and numbers of a JSON object. Lists and objects in it are no labels."""
    try:
        values = json.loads(data)
    except ValueError as error:
        raise InputError(
            f"{root / shard}: {key}.json is no JSON ({error}): write the shard again"
        ) from None
    if not isinstance(values, dict):
        return {}
    texts = {
        _line(name): "" if value is None else _line(str(value))
        for name, value in values.items()
        if value is None or isinstance(value, (str, int, float))
    }
    return {name: text for name, text in texts.items() if len(text) <= LABEL_CHARACTERS}


def _line(text: str) -> str:
    """A text in one line of UTF-8, as the index can have it, without blanks around it."""
    line = " ".join(text.replace("\0", " ").splitlines()).strip()
    return line.encode("utf-8", "replace").decode()


def _bytes(file: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = file.extractfile(member)
    assert content is not None
    return content.read()
