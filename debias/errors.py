"""Errors that a user can mend, the names that come near a misspelt one, and numbers that are none."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

#: Characters that a message spends on valid names; where all of them need more, it names the nearest only.
_ROOM = 300


class InputError(ValueError):
    """A mistake in what was asked for: config, option, file or data. Its message names thing, value and remedy.

    The command line prints it as one line and exits with 2. Any other exception is a mistake of this package or of a
    library, and keeps its traceback.
    """


def near(name: str, valid: Iterable[str], listing: str = "") -> str:
    """The end of a message about an unknown name: the valid names, or at most three near ones where all are too many.

    Args:
        name: the unknown name.
        valid: the names that are allowed.
        listing: the command that lists them, such as ``debias list configs``.

    Example:
        >>> near("group_drp", ["erm", "group_dro"])
        "did you mean 'group_dro'? valid: erm, group_dro"
    """
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    whole = ", ".join(valid)
    short = len(whole) <= _ROOM
    hint = f"did you mean {' or '.join(map(repr, close[:1] if short else close))}? " if close else ""
    if short:
        return f"{hint}valid: {whole}"
    elsewhere = f"; `{listing}` lists them" if listing else f", such as {', '.join(valid[:3])}" if not close else ""
    return f"{hint}there are {len(valid)} valid names{elsewhere}"


def check_finite(name: str, value: Any) -> None:
    """Refuse NaN and infinity as the value of an option, also inside its lists and sections.

    Args:
        name: of the option, such as ``optimizer``.
        value: its value, such as ``{"lr": 0.1}``.

    Raises:
        InputError: naming the number, such as ``optimizer.lr``.
    """
    if isinstance(value, Mapping):
        for key, entry in value.items():
            check_finite(f"{name}.{key}", entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            check_finite(name, entry)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name} must be a finite number; got {value}")
