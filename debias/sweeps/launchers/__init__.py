"""Names to launchers, and which of the ``key=value`` on the command line are a launcher's."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from debias import components
from debias.errors import InputError, near
from debias.merging import read_overrides

#: Each takes the runs, what trains one, and the progress to tell; its keyword-only arguments are
#: its options.
LAUNCHERS = {
    "local": "debias.sweeps.launchers.local:local",
    "slurm": "debias.sweeps.launchers.slurm:slurm",
}


def launcher(overrides: Sequence[str]) -> tuple[Callable[..., None], list[str]]:
    """The launcher that ``launcher=NAME`` chooses, with its options, and the overrides that are
    left for the runs.

    Raises:
        ValueError: an unknown launcher, or a value of the wrong type.

    Example:
        >>> launch, rest = launcher(["launcher=local", "workers=4", "epochs=2"])
        >>> launch.func.__name__, launch.keywords, rest
        ('local', {'workers': 4}, ['epochs=2'])
    """
    name = next(
        (text.partition("=")[2] for text in overrides if text.startswith("launcher=")), "local"
    )
    if name not in LAUNCHERS:
        raise InputError(f"unknown launcher {name!r}; {near(name, LAUNCHERS)}")
    module, _, attribute = LAUNCHERS[name].partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    known = components.options(function)
    own = [text for text in overrides if text.partition("=")[0] in known]
    rest = [text for text in overrides if text not in own and not text.startswith("launcher=")]
    checked = components.check_options(
        function, "launcher", read_overrides([_as_yaml(text) for text in own])
    )
    return partial(function, **checked), rest


def _as_yaml(text: str) -> str:
    # without quotes YAML takes 1:30:00 for a number in base sixty
    return re.sub(r"=(\d+(:\d+)+)$", r"='\1'", text)
