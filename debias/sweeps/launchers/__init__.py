"""Choose a launcher by name, and separate its options from the settings of the runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Protocol

from debias import components
from debias.config import Config
from debias.errors import InputError, near
from debias.merging import read_overrides, split_overrides, taken

if TYPE_CHECKING:
    from debias.sweeps.launchers.worker import Train
    from debias.sweeps.plan import PlannedRun
    from debias.sweeps.progress import Progress

#: The class of each launcher, see :class:`Launcher`.
LAUNCHERS = {
    "local": "debias.sweeps.launchers.local:Local",
    "slurm": "debias.sweeps.launchers.slurm:Slurm",
    "ray": "debias.sweeps.launchers.ray:Ray",
}


class Launcher(Protocol):
    """Trains the runs of a sweep. Its keyword-only arguments are the options of ``launcher=``."""

    def prepare(self) -> None:
        """Raise an ``InputError`` if this machine lacks what the launcher needs.

        It is called before the configs are checked, and begins what takes time.
        """

    def __call__(self, runs: list[PlannedRun], train: Train, progress: Progress) -> None:
        """Train runs, in this order, and return when none is left."""


def launcher(overrides: Sequence[str]) -> tuple[Launcher, list[str]]:
    """Make the launcher of ``launcher=NAME`` with its options, and return the other overrides.

    Args:
        overrides: ``key=value`` texts of the command line.

    Returns:
        The launcher, and the overrides that are settings of the runs.

    Raises:
        ValueError: the launcher is unknown, or one of its options has the wrong type or is out of
            range.

    Example:
        >>> launcher(["launcher=local", "workers=4", "epochs=2"])
        (Local(workers=4, threads=None, retries=1, minutes=None), ['epochs=2'])
    """
    name, overrides = taken(overrides, "launcher", "local")
    if name not in LAUNCHERS:
        raise InputError(f"unknown launcher {name!r}; {near(name, LAUNCHERS)}")
    chosen = components.imported(LAUNCHERS[name])
    own, rest = split_overrides(overrides, components.options(chosen))
    _check_others(name, rest)
    values = read_overrides([_as_yaml(text) for text in own])
    made: Launcher = chosen(**components.check_options(chosen, "launcher", values))
    return made, rest


def _check_others(name: str, rest: Sequence[str]) -> None:
    """Refuse options of another launcher; a setting of the runs may have the name of an option."""
    settings = {field.name for field in fields(Config)}
    keys = {text.partition("=")[0] for text in rest} - settings
    for other in LAUNCHERS.keys() - {name}:
        for key in sorted(keys & components.options(components.imported(LAUNCHERS[other])).keys()):
            raise InputError(f"launcher={name} has no {key}=, an option of launcher={other}")


def _as_yaml(text: str) -> str:
    # without quotes, YAML reads 1:30:00 as a number in base sixty
    return re.sub(r"=(\d+(:\d+)+)$", r"='\1'", text)
