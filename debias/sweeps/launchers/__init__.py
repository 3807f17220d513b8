"""Names to launchers, and which of the ``key=value`` on the command line are a launcher's."""

import re
from collections.abc import Callable, Sequence

from debias import components
from debias.errors import InputError, near
from debias.merging import read_overrides, split_overrides, taken

#: Each takes the runs, what trains one, and the progress to tell; its keyword-only arguments are
#: its options.
LAUNCHERS = {
    "local": "debias.sweeps.launchers.local:Local",
    "slurm": "debias.sweeps.launchers.slurm:Slurm",
}


def launcher(overrides: Sequence[str]) -> tuple[Callable[..., None], list[str]]:
    """The launcher that ``launcher=NAME`` chooses, with its options, and the overrides that are
    left for the runs.

    Raises:
        ValueError: an unknown launcher, a value of the wrong type, or a number out of range.

    Example:
        >>> launcher(["launcher=local", "workers=4", "epochs=2"])
        (Local(workers=4, threads=None, retries=1), ['epochs=2'])
    """
    name, overrides = taken(overrides, "launcher", "local")
    if name not in LAUNCHERS:
        raise InputError(f"unknown launcher {name!r}; {near(name, LAUNCHERS)}")
    chosen = components.imported(LAUNCHERS[name])
    own, rest = split_overrides(overrides, components.options(chosen))
    given = read_overrides([_as_yaml(text) for text in own])
    return chosen(**components.check_options(chosen, "launcher", given)), rest


def _as_yaml(text: str) -> str:
    # without quotes YAML takes 1:30:00 for a number in base sixty
    return re.sub(r"=(\d+(:\d+)+)$", r"='\1'", text)
