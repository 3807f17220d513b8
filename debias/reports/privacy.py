"""Remove absolute paths from reports for other people, because paths disclose user names."""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

#: An absolute path in a text: at the start, or after a space, a quote, a bracket, a comma or "=".
_PATH = re.compile(
    r"""(?:(?<=[\s"'=(\[{])|(?<=,)(?<!base64,)|^)(?:~|[A-Za-z]:)?[/\\][^\s"'<>|:;,)\]}]+[/\\][^\s"'<>|:;,)\]}]*"""
)
_SEPARATOR = re.compile(r"[/\\]")


def without_places(value: Any) -> Any:
    """Shorten the absolute paths in nested values to their last part. Keys are not changed.

    Example:
        >>> why = "no file /home/ann/masks/1.png"
        >>> without_places({"root": "/home/ann/birds", "why": why, "out": "runs/a"})
        {'root': 'birds', 'why': 'no file 1.png', 'out': 'runs/a'}
    """
    if isinstance(value, dict):
        return {key: without_places(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_places(entry) for entry in value]
    # strings of the type Markup belong to the pages themselves
    return _shortened(value) if type(value) is str and _SEPARATOR.search(value) else value


def _shortened(text: str) -> str:
    home = str(Path.home())
    with_tilde = text.replace(home, "~") if len(home) > 1 else text
    short = _PATH.sub(lambda match: _last(match.group()), with_tilde)
    paths = (PurePosixPath(text), PureWindowsPath(text))
    absolute = text.startswith("~") or any(path.is_absolute() for path in paths)
    # the whole text may be one path with spaces in its folder names
    return _last(short) if absolute and _SEPARATOR.search(short) else short


def _last(path: str) -> str:
    return _SEPARATOR.split(path.rstrip("/\\"))[-1]
