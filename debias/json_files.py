"""Writes the JSON files of runs and sweeps, and reads them back as values of checked types."""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from debias.errors import InputError

#: An object of a JSON file.
Json = dict[str, Any]
Kind = TypeVar("Kind", Json, list[Any])
Made = TypeVar("Made")
Types = type | tuple[type, ...]


def json_text(record: Mapping[str, object] | list[Any]) -> str:
    """The text of a JSON file with a record, or a list of records; see :func:`plain`.

    Raises:
        InputError: a record holds a value that JSON cannot represent.
    """
    return json.dumps(plain(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Convert a value for JSON: paths to text, arrays to lists, NaN and infinity to ``None``."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise InputError(
        f"JSON cannot hold {value!r} of type {type(value).__name__}: give it as plain numbers or "
        "text"
    )


def read_json(path: Path, kind: type[Kind], *, entries: Mapping[str, Types], remedy: str) -> Kind:
    """The content of a JSON file that debias wrote.

    Args:
        path: the file.
        kind: ``dict``, or ``list`` of dictionaries.
        entries: required entries and their types; dots lead into nested dictionaries.
        remedy: end of the message: what to do about a damaged file.

    Raises:
        InputError: the file cannot be read, lacks an entry, or has another type of entry.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): {remedy}") from None
    if not isinstance(value, kind):
        raise InputError(
            f"{path} holds a {type(value).__name__} where a {kind.__name__} is expected: {remedy}"
        )
    for record in value if isinstance(value, list) else [value]:
        for name, types in entries.items():
            if not isinstance(_entry(record, name), types):
                raise lacking(path, name, remedy)
    return value


class MisfitError(ValueError):
    """An entry of a JSON file is absent or has a wrong type; the message is the entry's name."""

    def inside(self, entry: object) -> "MisfitError":
        """The same error, with the name of the entry that contains this one before its name."""
        return MisfitError(".".join(filter(None, (str(entry), str(self)))))


def typed(kind: type[Made], value: object) -> Made:
    """Make a dataclass from an object of a JSON file, and check the types of its fields.

    Fields may be dataclasses themselves, or tuples of them. A field that the object lacks gets its
    default, or ``None`` if its type allows that. Entries without a field are ignored, since a later
    version may have added them.

    Args:
        kind: the dataclass.
        value: the object, as ``json`` reads it.

    Raises:
        MisfitError: an entry has another type than its field, or a field without default is absent.

    Example:
        >>> from debias.reports.record import Git
        >>> typed(Git, {"commit": "abc", "dirty": False, "branch": "main"})
        Git(commit='abc', dirty=False)
    """
    made: Made = _reader(kind)(value)  # type: ignore[arg-type]
    return made


def lacking(path: Path, entry: str, remedy: str) -> InputError:
    """Make the error about a file in which an entry is absent or has the wrong type."""
    return InputError(f"{path} lacks the entry {entry}, or holds another type there: {remedy}")


def _entry(record: object, name: str) -> object:
    for key in name.split("."):
        record = record.get(key, ...) if isinstance(record, dict) else ...
    return record


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """The function that makes a value of a type from one of a JSON file. Many records share it."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    origins = tuple(get_origin(one) or one for one in kinds)
    accepted = (*origins, int) if float in origins else origins

    def checked(value: Any) -> Any:
        """The value itself, if its type is right."""
        if not isinstance(value, accepted):
            raise MisfitError
        return value

    if is_dataclass(kinds[0]):
        return partial(_object, kinds[0], checked)
    if origins[0] is tuple:
        return partial(_sequence, _reader(get_args(kinds[0])[0]), checked)
    return checked


def _object(kind: Any, checked: Callable[[Any], Any], value: Any) -> Any:
    if not isinstance(value, dict):
        return checked(value)
    required, readers = _fields(kind)
    made = {}
    for key, read in readers.items():
        if key in value or key in required:
            try:
                made[key] = read(value.get(key))
            except MisfitError as misfit:
                raise misfit.inside(key) from None
    return kind(**made)


def _sequence(read: Callable[[Any], Any], checked: Callable[[Any], Any], value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return checked(value)
    made = []
    for place, entry in enumerate(value):
        try:
            made.append(read(entry))
        except MisfitError as misfit:
            raise misfit.inside(place) from None
    return tuple(made)


@cache
def _fields(kind: Any) -> tuple[Collection[str], Mapping[str, Callable[[Any], Any]]]:
    """The names of the fields without default, and what reads each field."""
    types = get_type_hints(kind)
    every = fields(kind)
    required = {one.name for one in every if one.default is one.default_factory is MISSING}
    return required, {name: _reader(type) for name, type in types.items()}
