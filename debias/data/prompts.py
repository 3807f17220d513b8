"""Prompts of a vision-language model: the table of their roles, and their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from debias.csv_files import Columns, check_is_file, read_csv
from debias.errors import InputError, near, shortened

CLASS, SPURIOUS, CANDIDATE = "class", "spurious", "candidate"
ROLES = {CLASS: 0, SPURIOUS: 1, CANDIDATE: 2}


@dataclass(frozen=True)
class Prompts:
    """Prompts with their roles and embeddings.

    Args:
        columns: the table, with the columns ``role``, ``class``, ``attribute`` and ``text``.
        embeddings: ``(R, D)`` float64 unit vectors, one per row of the table.
    """

    columns: Columns
    embeddings: Tensor

    def of(self, role: str) -> Prompts:
        """The prompts of one role, in the order of the table."""
        roles = self.columns.column("role")
        rows = [row for row, each in enumerate(roles) if each == role]
        return Prompts(self.columns.take(rows), self.embeddings[rows])

    def cells(self, name: str) -> Sequence[str]:
        """One cell of each prompt, such as its class."""
        return self.columns.column(name)


def read_prompts(table: Path, embeddings: Path, classes: Sequence[str]) -> Prompts:
    """Read the table of prompts and the file of their embeddings. No code in a file runs.

    The table is a CSV file. Its columns are ``role`` ("class", "spurious" or "candidate"),
    ``class`` (empty for "spurious"), ``attribute`` (of a "candidate") and ``text``.

    Args:
        table: the table of prompts.
        embeddings: the file of :func:`read_embeddings`.
        classes: names of the classes of the data set.

    Raises:
        ValueError: a role, a class or an attribute is wrong or missing, a class has no prompt, or
            the embeddings cannot be read or do not fit.
    """
    columns = read_csv(table, ("role", "class", "attribute", "text"))
    columns.choices("role", ROLES)
    for row, role in enumerate(columns.column("role")):
        name = columns.column("class")[row]
        if role != SPURIOUS and name not in classes:
            raise columns.error(row, "class", f"but must be a class: {near(name, classes)}")
        if role == CANDIDATE and not columns.column("attribute")[row]:
            raise columns.error(row, "attribute", "but each candidate needs the name of its own")
    prompts = Prompts(columns, read_embeddings(embeddings, columns.column("text")))
    if absent := sorted({*classes} - {*prompts.of(CLASS).cells("class")}):
        raise InputError(f"{table} needs a row of role class for class {absent[0]!r}: add one")
    return prompts


def read_embeddings(path: Path, texts: Sequence[str]) -> Tensor:
    """The embeddings of texts, from a file that their encoder's user wrote.

    The file holds one array ``(R, D)`` with a row per text, in their order (``.npy``, ``.npz`` or
    ``.safetensors``), or one vector per text under the text as name (``.npz``, ``.safetensors``, or
    a ``.csv`` with the column ``text`` and one column per number).

    Args:
        path: the file.
        texts: R texts.

    Returns:
        ``(R, D)`` float64 unit vectors.

    Raises:
        ValueError: there is no such file, it has another suffix, is damaged or needs unpickling, it
            lacks a text, has another number of rows, or an embedding is zero or not finite.
    """
    check_is_file(path)
    if path.suffix not in _READERS:
        raise InputError(
            f"embeddings {str(path)!r} end in {path.suffix!r}; expected {', '.join(_READERS)}"
        )
    try:
        arrays = _READERS[path.suffix](path)
    except InputError:
        raise
    except Exception as error:  # each kind of damage raises another exception
        raise InputError(
            f"{path} is damaged, or contains more than arrays of numbers "
            f"({type(error).__name__}): save the embeddings again"
        ) from error
    return _unit(path, _rows(path, {key: _numbers(path, arrays[key]) for key in arrays}, texts))


def _array(path: Path) -> dict[str, Any]:
    return {"": np.load(path, allow_pickle=False)}


def _archive(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _table(path: Path) -> dict[str, Any]:
    columns = read_csv(path)
    texts = columns.column("text")
    names = [name for name in columns.cells if name != "text"]
    if not names:
        raise InputError(f"{path} has no column of numbers beside 'text': add the embeddings")
    numbers = np.stack([columns.numbers(name) for name in names], axis=1)
    if doubled := [row for row, text in enumerate(texts) if text in texts[:row]]:
        raise columns.error(doubled[0], "text", "which an earlier line has too: remove one")
    return dict(zip(texts, numbers, strict=True))


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".npy": _array,
    ".npz": _archive,
    ".safetensors": load_file,
    ".csv": _table,
}


def _numbers(path: Path, array: Any) -> Tensor:
    """An array of floating-point numbers as float64."""
    if not isinstance(array, Tensor):
        kind = array.dtype
        if kind.kind != "f":
            raise InputError(f"{path} must hold floating-point numbers; got {kind}: save those")
        return torch.from_numpy(array.astype(np.float64))
    if not array.is_floating_point():
        raise InputError(f"{path} must hold floating-point numbers; got {array.dtype}: save those")
    return array.double()


def _rows(path: Path, arrays: dict[str, Tensor], texts: Sequence[str]) -> Tensor:
    """``(R, D)``: the rows of the only matrix, or the vectors that have the texts as names."""
    only = next(iter(arrays.values())) if len(arrays) == 1 else None
    if only is not None and only.ndim == 2:
        if len(only) != len(texts):
            raise InputError(
                f"{path} must have one row per prompt, in the order of the table; got {len(only)} "
                f"rows for {len(texts)} prompts"
            )
        return only
    for text in texts:
        if text not in arrays:
            raise InputError(
                f"{path} has no embedding of the prompt {shortened(text)!r}: add it under this name"
            )
    shapes = {tuple(arrays[text].shape) for text in texts}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise InputError(
            f"{path} must hold one matrix, or one vector of the same length per prompt; got the "
            f"shapes {', '.join(map(str, sorted(shapes)))}"
        )
    return torch.stack([arrays[text] for text in texts])


def _unit(path: Path, rows: Tensor) -> Tensor:
    """The rows, each divided by its norm."""
    norms: Tensor = rows.norm(dim=1, keepdim=True)
    wrong = ~(norms.isfinite() & (norms > 0)).flatten()
    if bool(wrong.any()):
        raise InputError(
            f"{path} must hold finite embeddings that are not zero; number "
            f"{int(wrong.nonzero()[0]) + 1} is not: compute the embeddings again"
        )
    return rows / norms
