"""Errors about a user's mistake: their form, similar names, and checks of option values."""

import difflib
import errno
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

#: Longest list of valid names in a message, in characters. Instead of a longer list, the message
#: has only the most similar names.
_ROOM = 300
#: Length of the longest message that is printed, in characters.
LONGEST = 980
#: Characters that control a terminal, end a line, change the direction of text, or are not valid
#: Unicode.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Errors of a file system that a user can correct: no space, no permission, a file in place of a
#: folder, a long name, a loop of links.
_PLACE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
}


class InputError(ValueError):
    """A user's mistake in a config, option, file or data; the message names it and the remedy.

    The command line prints the message as one line and exits with 2. Other exceptions keep their
    traceback, except those that :func:`told` names.
    """


class OfflineError(InputError):
    """Files are absent, and only the user can put them there. The command line exits with 3."""


def told(error: Exception) -> str | None:
    """The line that the command line prints for a user's mistake; ``None`` for any other error.

    A user's mistake is an :class:`InputError`, or an ``OSError`` about a place: no space, no
    permission, or an impossible name.

    Example:
        >>> told(InputError("epochs must be at least 1; got 0"))
        'epochs must be at least 1; got 0'
        >>> error = NotADirectoryError(20, "Not a directory", "runs/cache")
        >>> print(told(error))  # doctest: +NORMALIZE_WHITESPACE
        runs/cache: Not a directory; give another place (out=, cache_dir=), or make room and set
        permissions there
        >>> told(ValueError("Expected more than 1 value per channel"))
    """
    if isinstance(error, InputError):
        # torch puts the traceback of a loader process before the message
        return one_line(str(error).rpartition("debias.errors.InputError: ")[2].rstrip())
    if isinstance(error, OSError) and error.errno in _PLACE:
        place = error.filename2 or error.filename or "a file cannot be written"
        remedy = "give another place (out=, cache_dir=), or make room and set permissions there"
        return one_line(f"{shortened(str(place))}: {error.strerror}; {remedy}")
    return None


def one_line(text: str) -> str:
    """A text as one line of at most ``LONGEST`` characters.

    Control characters are escaped, and the middle of a longer text is cut out.

    Example:
        >>> one_line("two\\nlines")
        'two\\\\nlines'
    """
    return shortened(printable(text), LONGEST)


def printable(text: str) -> str:
    """A text with its control characters escaped, so that it cannot control a terminal."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def shortened(text: str, most: int = 200) -> str:
    """A text of at most ``most`` characters; the middle of a longer one is cut out.

    Example:
        >>> shortened("abcdefghijklmnopqrstuvwxyz", 11)
        'abc ... xyz'
    """
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


def shown(names: Sequence[object], most: int = 3) -> str:
    """The first ``most`` names, and the number of further ones.

    Example:
        >>> shown(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def check_printable(kind: str, text: str) -> None:
    """Refuse a name or a path with control characters.

    Args:
        kind: what ``text`` is, for the message.
        text: the name or path.

    Raises:
        InputError: ``text`` has a control character; the message shows it escaped.
    """
    if _CONTROL.search(text):
        raise InputError(f"{kind} {shortened(ascii(text))} holds a control character: rename it")


def near(name: str, valid: Iterable[str], listing: str = "") -> str:
    """The end of a message about an unknown name: the valid names.

    If these are too many, the message has at most three similar ones.

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
    meant = " or ".join(map(repr, close[:1] if short else close))
    hint = f"did you mean {meant}? " if close else ""
    if short:
        return f"{hint}valid: {whole}"
    examples = "" if close else f", such as {', '.join(valid[:3])}"
    elsewhere = f"; `{listing}` lists them" if listing else examples
    return f"{hint}there are {len(valid)} valid names{elsewhere}"


def check_finite(name: str, value: Any) -> None:
    """Refuse NaN and infinity as the value of an option, also inside its lists and sections.

    Args:
        name: name of the option, such as ``optimizer``.
        value: its value, such as ``{"lr": 0.1}``.

    Raises:
        InputError: a number is NaN or infinite; the message names it, as in ``optimizer.lr``.
    """
    if isinstance(value, Mapping):
        for key, entry in value.items():
            check_finite(f"{name}.{key}", entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            check_finite(name, entry)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name} must be a finite number; got {value}")


def check_at_least(
    least: float, values: Mapping[str, float], *, of: str = "", hint: str = ""
) -> None:
    """Refuse numbers below a bound, and NaN.

    Args:
        least: the smallest number that is allowed.
        values: numbers by name, such as ``{"recipe.steps": steps}``.
        of: the component whose values they are, such as ``FLAC``; the message names it.
        hint: end of the message: what to do, or the reason of the bound.

    Raises:
        InputError: a value is below ``least``, or NaN; the message names the first.

    Example:
        >>> check_at_least(0, {"strength": -1.0, "ramp": 5}, of="FLAC")
        Traceback (most recent call last):
            ...
        debias.errors.InputError: strength must be at least 0 for FLAC; got -1.0
    """
    for name, value in values.items():
        if not value >= least:
            raise _refusal(name, f"be at least {least}", value, of, hint)


def check_positive(values: Mapping[str, float], *, of: str = "", hint: str = "") -> None:
    """Refuse numbers that are not above 0; arguments and error as in :func:`check_at_least`."""
    for name, value in values.items():
        if not value > 0:
            raise _refusal(name, "be positive", value, of, hint)


def check_between(
    interval: str, values: Mapping[str, float], *, of: str = "", hint: str = ""
) -> None:
    """Refuse numbers outside an interval.

    Args:
        interval: the allowed interval as text, such as ``"[0, 1)"``: 0 is allowed, and 1 is not.
        values: numbers by name.
        of: as in :func:`check_at_least`.
        hint: as in :func:`check_at_least`.

    Raises:
        InputError: a value is outside ``interval``, or NaN; the message names the first.

    Example:
        >>> check_between("[0, 1)", {"momentum": 1.0})
        Traceback (most recent call last):
            ...
        debias.errors.InputError: momentum must lie in [0, 1); got 1.0
    """
    low, high = map(float, interval[1:-1].split(","))
    for name, value in values.items():
        above = value > low or (value == low and interval[0] == "[")
        below = value < high or (value == high and interval[-1] == "]")
        if not (above and below):
            raise _refusal(name, f"lie in {interval}", value, of, hint)


def check_one_of(
    valid: Collection[object], values: Mapping[str, object], *, of: str = "", hint: str = ""
) -> None:
    """Refuse values that are not in ``valid``; other arguments as in :func:`check_at_least`.

    Raises:
        InputError: a value is not in ``valid``; the message names the first, and the valid ones.

    Example:
        >>> check_one_of(("rbf", "linear"), {"kernel": "cubic"}, of="HSIC")
        Traceback (most recent call last):
            ...
        debias.errors.InputError: kernel must be one of rbf, linear for HSIC; got 'cubic'
    """
    for name, value in values.items():
        if value not in valid:
            allowed = f"be one of {', '.join(map(str, valid))}"
            raise _refusal(name, allowed, repr(value), of, hint)


def _refusal(name: str, bound: str, value: object, of: str, hint: str) -> InputError:
    owner, remedy = f" for {of}" if of else "", f": {hint}" if hint else ""
    return InputError(f"{name} must {bound}{owner}; got {value}{remedy}")
