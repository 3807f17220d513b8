"""Choose a launcher by name, and separate its options from the settings of the runs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields

from debias import components
from debias.config import Config
from debias.errors import InputError, near
from debias.merging import read_overrides, split_overrides, taken

#: The class of each launcher. Its keyword-only arguments are its options, and an instance is called
#: with the runs, the function that trains one, and the progress.
LAUNCHERS = {
    "local": "debias.sweeps.launchers.local:Local",
    "slurm": "debias.sweeps.launchers.slurm:Slurm",
    "ray": "debias.sweeps.launchers.ray:Ray",
}


def launcher(overrides: Sequence[str]) -> tuple[Callable[..., None], list[str]]:
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
    return chosen(**components.check_options(chosen, "launcher", values)), rest


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
