"""Reading the JSON files that runs and sweeps leave behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from debias.errors import InputError

Kind = TypeVar("Kind", dict[str, Any], list[Any])
Types = type | tuple[type, ...]


def read_json(path: Path, kind: type[Kind], *, entries: Mapping[str, Types], remedy: str) -> Kind:
    """The content of a JSON file that debias wrote.

    Args:
        path: the file.
        kind: ``dict``, or ``list`` of dictionaries.
        entries: type of each entry that is read; dots lead into nested dictionaries.
        remedy: what to do about a damaged file.

    Raises:
        InputError: the file cannot be read, or lacks an entry; the message names the file, the
            fault and the remedy.
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
                raise InputError(
                    f"{path} lacks the entry {name}, or holds another type there: {remedy}"
                )
    return value


def _entry(record: Any, name: str) -> Any:
    for key in name.split("."):
        record = record.get(key, ...) if isinstance(record, dict) else ...
    return record
