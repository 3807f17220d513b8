"""The keys of a run's config: for the help, and those that commands about data read."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import get_origin

from debias import config as configs
from debias.config import Config
from debias.errors import InputError, shortened
from debias.merging import split_overrides

#: Keys on which the data of a config may depend, as in ``data.seed=${seed}``.
DATA_KEYS = ("data", "seed", "cache_dir")
#: One entry of the list of attributes in the docstring of :class:`debias.config.Config`.
ENTRY = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
WIDTH = 92


def check_data_keys(overrides: Sequence[str]) -> None:
    """Refuse changes of a config that do not reach its data, for a command that reads only these.

    Args:
        overrides: ``key=value`` texts.

    Raises:
        InputError: a key is not one of ``DATA_KEYS``.
    """
    if others := split_overrides(overrides, DATA_KEYS)[1]:
        raise InputError(
            f"{shortened(others[0])} has no effect, because this command reads only data.*, "
            f"{' and '.join(DATA_KEYS[1:])} of a config: leave it out"
        )


def help_text() -> str:
    """The end of the help of commands that take a config: two lines per key, and where to go on."""
    return "\n".join(
        [
            "keys of the config, with their defaults:",
            *_lines(),
            "",
            "options of a section: `debias list strategies NAME`, or `debias list samplers`, "
            "datasets, ...",
        ]
    )


def _lines() -> Iterator[str]:
    meanings = dict(ENTRY.findall(inspect.getdoc(Config) or ""))
    default = configs.plain(Config())
    for item in fields(Config):
        meaning = " ".join(meanings[item.name].replace("``", "").split())
        yield f"  {_assigned(item.name, default[item.name])}"
        text = f"{_type(item.type)}: {meaning}"
        yield textwrap.fill(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _assigned(key: str, value: object) -> str:
    """A key and its default, as in ``epochs=100``; of a section, the default name."""
    if isinstance(value, dict):
        name = value.get("name")
        return f"{key}.name={name}" if name else f"{key}.*"
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def _type(declared: object) -> str:
    optional = re.fullmatch(r"typing\.Optional\[(\w+)\]", str(declared))
    if optional:
        return f"{optional[1]} or null"
    if get_origin(declared) is list:
        return "list"
    return declared.__name__ if declared in (int, float, str, bool) else "section"
