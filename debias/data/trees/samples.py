"""Tiny trees in the layout of a data set, made from the description in its preset."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from debias.data.trees.templates import PART, filled, read_template
from debias.errors import InputError
from debias.presets import Preset, Sample

#: Side of the pictures, in pixels.
SIDE = 32


class SamplePicture(NamedTuple):
    """A picture of a sample: its path, its number, and the fields it was made for."""

    path: str
    number: int
    fields: Mapping[str, object]


def write_sample(preset: Preset, root: Path, each: int) -> int:
    """Write a tiny tree in the layout of a data set, with pictures of noise.

    Args:
        preset: the data set.
        root: the folder that receives the tree.
        each: number of pictures per combination of the fields, such as split, class and bias.

    Returns:
        The number of pictures.

    Raises:
        InputError: the preset does not describe a sample.
    """
    made = list(_annotated(preset.sample.by, root, each) or _pictures(preset, each))
    for picture in made:
        path = root / picture.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_noise(path.suffix, picture.number))
    for table, columns in preset.sample.tables.items():
        for name, rows in _by_file(table, made).items():
            lines = [[_cell(cell, picture) for cell in columns.values()] for picture in rows]
            _write_table(root / name, [list(columns), *lines])
    return len(made)


def _annotated(by: str, root: Path, each: int) -> list[SamplePicture]:
    """The pictures of a sample whose annotations a function writes; empty without a function."""
    if not by:
        return []
    module, _, name = by.partition(":")
    paths: list[str] = getattr(importlib.import_module(module), name)(root, each)
    return [SamplePicture(path, number, {}) for number, path in enumerate(paths)]


def _pictures(preset: Preset, each: int) -> Iterator[SamplePicture]:
    """The pictures of a sample: ``each`` for every combination of fields, for each template."""
    sample = preset.sample
    written = sample.images or preset.options.get("pattern", [])
    templates = [written] if isinstance(written, str) else written
    if not templates or not sample.fields:
        instead = "debias data make" if preset.made_from else "debias data get"
        raise InputError(
            f"debias cannot make a sample of {preset.name}: its layout is not described. Use "
            f"`{instead} {preset.name} root=PATH`"
        )
    number = 0
    for template in templates:
        matcher = read_template(template).matcher
        for cells in _combinations(template, sample):
            for _ in range(each):
                path = filled(template, cells, number)
                if matcher.fullmatch(path):  # not a value that another template is for
                    yield SamplePicture(path, number, cells)
                    number += 1


def _combinations(template: str, sample: Sample) -> Iterator[dict[str, object]]:
    """Every combination of those fields that the template or a table uses."""
    texts = [template, *sample.tables, *(t for c in sample.tables.values() for t in c.values())]
    used = {match[1] for text in texts for match in PART.finditer(text)}
    names = [name for name in sample.fields if name in used]
    for values in product(*(sample.fields[name] for name in names)):
        yield dict(zip(names, values, strict=True))


def _by_file(table: str, made: Sequence[SamplePicture]) -> dict[str, list[SamplePicture]]:
    """The pictures of each file of a table, whose name may have fields."""
    files: dict[str, list[SamplePicture]] = {}
    for picture in made:
        files.setdefault(_cell(table, picture), []).append(picture)
    return files


def _cell(template: str, picture: SamplePicture) -> str:
    own = {"image": picture.path, "number": picture.number, **picture.fields}
    return filled(template, own, picture.number)


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _noise(suffix: str, number: int) -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    content: bytes = cv2.imencode(suffix.lower(), noise)[1].tobytes()
    return content
