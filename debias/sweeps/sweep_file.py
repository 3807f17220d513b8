"""Read a sweep file and check its keys and types against the schema."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from debias.errors import InputError, near
from debias.merging import Settings, converted, misfit, read_overrides, read_yaml

#: Parts of a sweep file with settings of runs. There, ``${seed}`` is the seed of each run.
OF_RUNS = ("configs", "grid", "set", "draws.values", "search.space")


@dataclass
class Draws:
    """The ``draws`` of a sweep file: random settings.

    Attributes:
        count: number of random settings.
        seed: seed of the random streams.
        values: distribution of each key, see :func:`debias.sweeps.draws.draw`.
    """

    count: int = 0
    seed: int = 0
    values: Settings = field(default_factory=dict)


@dataclass
class Search:
    """The section ``search`` of a sweep file, see :mod:`debias.sweeps.search`.

    Attributes:
        space: distribution of each key, as in ``draws``. An entry of ``configs`` can add keys of
            its own.
        sampler: "tpe", "random" or "grid".
        trials: number of settings to try per config. A grid tries all.
        seed: seed of the sampler.
        objectives: validation metrics to optimise. With several, the search finds their Pareto
            front.
        prune: "none", or "asha" or "hyperband" to stop runs early that are behind.
        factor: a check of runs keeps the best ``1 / factor`` of those that have reached it, and
            the next check is after ``factor`` times as many epochs.
        min_epochs: epochs before the first check; by default ``epochs / factor ** 2``.
        storage: URL of a database; by default a file in the sweep's folder.
    """

    space: Settings = field(default_factory=dict)
    sampler: str = "tpe"
    trials: Optional[int] = None  # noqa: UP045 - omegaconf 2.3 reads Optional, not "float | None"
    seed: int = 0
    objectives: list[str] = field(default_factory=lambda: ["worst_group"])
    prune: str = "none"
    factor: int = 3
    min_epochs: Optional[int] = None  # noqa: UP045
    storage: Optional[str] = None  # noqa: UP045


@dataclass
class Sweep:
    """The contents of a sweep file.

    Attributes:
        configs: configs as ``debias train`` accepts them: shipped names, or paths relative to the
            sweep file. An entry ``NAME: {key: [values]}`` has its own grid over the common one.
        seeds: every setting is run with each seed.
        grid: the values of each key, such as ``optimizer.lr: [1e-3, 1e-4]``. All combinations are
            run.
        draws: random settings. Each is combined with the whole grid.
        set: settings common to every run.
        labels: which group labels the runs may use, see :mod:`debias.sweeps.protocol`; all by
            default.
        search: how settings are chosen by earlier results, in place of ``grid`` and ``draws``.
        final_seeds: seeds of the runs that a search reports.
        out: folder of the runs; by default ``runs/<name of the sweep file>``.
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
    """Read a sweep file, and override it by ``key=value`` texts.

    Raises:
        ValueError: the file does not exist or is not valid YAML, a key is unknown, a value has the
            wrong type, ``configs`` or ``seeds`` is empty, or ``draws`` is incomplete.
    """
    if not path.is_file():
        raise InputError(f"no sweep file {path}. Give the path of a YAML file, see docs/sweeps.md")
    over = read_overrides(overrides)
    layers = [read_yaml(path), over]
    valid = list(Sweep.__dataclass_fields__)
    for key in (key for layer in layers for key in layer):
        if key not in valid:
            raise InputError(f"{path}: unknown key {key!r}; {near(str(key), valid)}")
    converted(Sweep, "out", over.get("out"))
    try:
        sweep = _resolved(OmegaConf.merge(OmegaConf.structured(Sweep), *layers))
    except OmegaConfBaseException as error:
        given: Any = OmegaConf.to_container(OmegaConf.merge(*layers))
        raise InputError(f"{path}: {misfit(Sweep, error, str(error.full_key), given)}") from error
    _check_numbers(path, sweep)
    return sweep


def _resolved(merged: Any) -> Sweep:
    """Replace the references of a sweep file by their values, except those of ``OF_RUNS``."""
    found = {key: OmegaConf.select(merged, key) for key in OF_RUNS}
    settings: Settings = {
        key: OmegaConf.to_container(part) for key, part in found.items() if part is not None
    }
    for key, values in settings.items():
        OmegaConf.update(merged, key, type(values)(), merge=False)
    sweep = OmegaConf.to_object(merged)
    assert isinstance(sweep, Sweep)
    for key, values in settings.items():
        section, _, name = key.rpartition(".")
        setattr(getattr(sweep, section) if section else sweep, name, values)
    return sweep


def _check_numbers(path: Path, sweep: Sweep) -> None:
    for key in ("configs", "seeds"):
        if not getattr(sweep, key):
            raise InputError(f"{path}: {key} is empty. Give at least one")
    if sweep.draws.count < 0 or bool(sweep.draws.count) != bool(sweep.draws.values):
        raise InputError(
            f"{path}: draws needs values and a count of at least 1; got count={sweep.draws.count}"
        )
