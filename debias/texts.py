"""Texts in configs and on the command line that are refused."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from debias.errors import InputError, check_printable, shortened

#: The call of a resolver such as ``${oc.env:HOME}``, also if its name contains other references.
_CALL = re.compile(r"\$\{[^{}]*(:|\$\{)")


def check_texts(key: str, value: Any) -> None:
    """Refuse texts of a config that call a resolver, have control characters or begin with "~/".

    A resolver such as ``oc.env`` could write a secret environment variable into reports that people
    share. A reference to another key, such as ``${seed}``, is allowed.

    Args:
        key: key of the value, with dots; empty for the whole config.
        value: nested dictionaries and lists, in which references are not yet resolved.

    Raises:
        InputError: a text does so; the message names its key.
    """
    if isinstance(value, Mapping):
        for name, entry in value.items():
            check_texts(f"{key}.{name}" if key else str(name), entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            check_texts(key, entry)
    elif isinstance(value, str):
        check_printable(f"{shortened(key)}:", value)
        if _CALL.search(value):
            raise InputError(
                f"{key}={shortened(value)} calls a resolver, as ${{oc.env:NAME}} does: reports "
                "would hold its value; write the value itself, or another key as in ${seed}"
            )
        if value.startswith("~/"):
            raise InputError(
                f"{key}={shortened(value)} would be in a folder with the name ~: write the whole "
                f"path, as in {Path.home()}{value[1:]}"
            )


def check_written(override: str, layer: Mapping[Any, Any]) -> None:
    """Refuse an override that YAML reads as another text or whole number than the one written.

    To YAML, ``007``, ``2024_01_01`` and ``12:30`` are whole numbers, and "#" begins a comment. A
    folder of such a name would silently get another one.

    Args:
        override: a ``key=value`` text.
        layer: the nested dictionaries that it was read as.

    Raises:
        InputError: the value is a whole number or a text without quotes, and reads differently.
    """
    key, _, text = override.partition("=")
    written = text.strip(" ")
    value: Any = layer
    for _ in key.split("."):
        value = next(iter(value.values()), None) if isinstance(value, Mapping) else value
    comment = value is None and written.startswith("#")
    other = type(value) in (int, str) and str(value) != written
    if written[:1] not in ('"', "'") and (comment or other):
        read = "null" if comment else shortened(str(value))
        quoted = shortened(f"{key}={json.dumps(text, ensure_ascii=False)}")
        raise InputError(
            f"override {shortened(override)} is read as {key}={read}: write that, or quote a text, "
            f"as in '{quoted}'"
        )


def unquoted(hint: Any, value: Any) -> list[Any]:
    """Fractions and truth values in a value whose type wants texts, as YAML reads 1.10 and no.

    Args:
        hint: the type, such as ``list[str]``.
        value: a plain value. For ``[False, "b"]``, the result is ``[False]``.
    """
    if isinstance(value, (list, dict)):
        entries = value.values() if isinstance(value, dict) else value
        inside = entry_type(hint, type(value))
        return [other for entry in entries for other in unquoted(inside, entry)]
    kinds = get_args(hint) or (hint,)
    return [value] if str in kinds and type(value) in {float, bool}.difference(kinds) else []


def entry_type(hint: Any, container: type = list) -> Any:
    """The type of the entries of a list or the values of a dict; ``Any`` if it is unknown."""
    fitting = [one for one in (hint, *get_args(hint)) if get_origin(one) is container]
    return get_args(fitting[0])[-1] if fitting else Any
