"""Reports for other people: file names in place of absolute paths, which tell of users."""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

#: An absolute path within a text: at its start, or after a space, a quote, a bracket or "=".
_PATH = re.compile(
    r"""(?:(?<=[\s"'=(\[{])|(?<=,)(?<!base64,)|^)(?:~|[A-Za-z]:)?[/\\][^\s"'<>|:;,)\]}]+[/\\][^\s"'<>|:;,)\]}]*"""
)
_SEPARATOR = re.compile(r"[/\\]")


def without_places(value: Any) -> Any:
    """Nested values, in whose texts absolute paths are cut to their last part; keys stay.

    Example:
        >>> why = "no file /home/ann/masks/1.png"
        >>> without_places({"root": "/home/ann/birds", "why": why, "out": "runs/a"})
        {'root': 'birds', 'why': 'no file 1.png', 'out': 'runs/a'}
    """
    if isinstance(value, dict):
        return {key: without_places(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_places(entry) for entry in value]
    # markup is text of the pages themselves
    return _shortened(value) if type(value) is str and _SEPARATOR.search(value) else value


def _shortened(text: str) -> str:
    home = str(Path.home())
    known = text.replace(home, "~") if len(home) > 1 else text
    short = _PATH.sub(lambda match: _last(match.group()), known)
    paths = (PurePosixPath(text), PureWindowsPath(text))
    absolute = text.startswith("~") or any(path.is_absolute() for path in paths)
    # a folder's name with a space in it ends no path
    return _last(short) if absolute and _SEPARATOR.search(short) else short


def _last(path: str) -> str:
    return _SEPARATOR.split(path.rstrip("/\\"))[-1]
