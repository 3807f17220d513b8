"""What a sweep file says, with nothing in it that its schema does not know."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from debias.errors import InputError, near
from debias.merging import Settings, read_overrides, read_yaml


@dataclass
class Draws:
    """Random settings: how ``many``, from which ``seed``, and the distribution of each key."""

    count: int = 0
    seed: int = 0
    values: Settings = field(default_factory=dict)


@dataclass
class Search:
    """How settings are searched, see :mod:`debias.sweeps.search`.

    Attributes:
        space: the distribution of each key, as for draws; a config's own keys go beside it under
            ``configs``.
        sampler: "tpe", "random" or "grid".
        trials: settings to try, for each config; a grid tries all.
        seed: of the sampler.
        objectives: what is better, on validation; of several, the Pareto front is found.
        prune: "none", or "asha" or "hyperband" to stop runs that are behind.
        storage: URL of a database; a file in the sweep's folder unless given.
    """

    space: Settings = field(default_factory=dict)
    sampler: str = "tpe"
    trials: Optional[int] = None  # noqa: UP045 - omegaconf 2.3 reads Optional, not "float | None"
    seed: int = 0
    objectives: list[str] = field(default_factory=lambda: ["worst_group"])
    prune: str = "none"
    storage: Optional[str] = None  # noqa: UP045


@dataclass
class Sweep:
    """What a sweep file says.

    Attributes:
        configs: what ``debias train`` takes, shipped names or paths relative to the sweep file; an
            entry ``NAME: {key: [values]}`` has a grid of its own, over the common one.
        seeds: every setting is run with each.
        grid: the values of each key, such as ``optimizer.lr: [1e-3, 1e-4]``; all combinations are
            run.
        draws: random settings, see :func:`debias.sweeps.draws.draw`; each is combined with the
            whole grid.
        set: what is the same for every run.
        labels: which group labels the runs may use, see :mod:`debias.sweeps.protocol`; any, unless
            given.
        search: settings that follow from what came before, in place of ``grid`` and ``draws``.
        final_seeds: of the runs by which a search is judged.
        out: folder that receives the runs; by default ``runs/<name of the sweep file>``.
    """

    configs: list[Any] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])
    grid: Settings = field(default_factory=dict)
    draws: Draws = field(default_factory=Draws)
    set: Settings = field(default_factory=dict)
    labels: Optional[str] = None  # noqa: UP045 - omegaconf 2.3 reads Optional, not "float | None"
    search: Optional[Search] = None  # noqa: UP045
    final_seeds: list[int] = field(default_factory=list)
    out: Optional[str] = None  # noqa: UP045


def read(path: Path, overrides: Sequence[str]) -> Sweep:
    """Read a sweep file, and ``key=value`` over it.

    Raises:
        ValueError: no such file, no YAML, an unknown key or a value of the wrong type.
    """
    if not path.is_file():
        raise InputError(f"no sweep file {path}: give the path of a YAML file, see docs/sweeps.md")
    over = read_overrides(overrides)
    layers = [read_yaml(path), over]
    valid = list(Sweep.__dataclass_fields__)
    for key in (key for layer in layers for key in layer):
        if key not in valid:
            raise InputError(f"{path}: unknown key {key!r}; {near(str(key), valid)}")
    try:
        merged = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Sweep), *layers))
    except OmegaConfBaseException as error:
        raise InputError(f"{path}: {error.full_key}: {str(error).splitlines()[0]}") from error
    assert isinstance(merged, Sweep)
    _check_numbers(path, merged)
    return merged


def _check_numbers(path: Path, sweep: Sweep) -> None:
    for key in ("configs", "seeds"):
        if not getattr(sweep, key):
            raise InputError(f"{path}: {key} is empty: name at least one")
    if sweep.draws.count < 0 or bool(sweep.draws.count) != bool(sweep.draws.values):
        raise InputError(
            f"{path}: draws needs count, at least 1, and values; got count={sweep.draws.count}"
        )
