"""A sweep file to an explicit list of runs. Planning loads no torch; checking the runs' options does."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from debias import config as configs
from debias.config import Config, near
from debias.sweeps.draws import draw

#: What a sweep says by keys of its own, and its runs therefore must not.
OWN = {"seed": "seeds", "out": "out", "name": "configs", "progress": "nothing: runs of a sweep write logs"}


@dataclass
class Draws:
    """Random settings: how ``many``, from which ``seed``, and the distribution of each key in ``values``."""

    count: int = 0
    seed: int = 0
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class Sweep:
    """What a sweep file says.

    Attributes:
        configs: what ``debias train`` takes, shipped names or paths relative to the sweep file; an entry
            ``NAME: {key: [values]}`` has a grid of its own, over the common one.
        seeds: every setting is run with each.
        grid: the values of each key, such as ``optimizer.lr: [1e-3, 1e-4]``; all combinations are run.
        draws: random settings, see :func:`debias.sweeps.draws.draw`; each is combined with the whole grid.
        set: what is the same for every run.
        out: folder that receives the runs; by default ``runs/<name of the sweep file>``.
    """

    configs: list[Any] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])
    grid: dict[str, list[Any]] = field(default_factory=dict)
    draws: Draws = field(default_factory=Draws)
    set: dict[str, Any] = field(default_factory=dict)
    out: Optional[str] = None  # noqa: UP045 - omegaconf 2.3 reads Optional, not "float | None"


class Run(NamedTuple):
    """One run: what ``debias train`` would be told, and the config that follows from it."""

    source: str
    overrides: tuple[str, ...]
    config: Config

    @property
    def name(self) -> str:
        """Name of the run's folder, which holds the identity of its config."""
        return configs.run_name(self.config)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.config.out) / self.name

    @property
    def settings(self) -> str:
        """The config and what the sweep varies, to read."""
        return " ".join([self.source, *(text.replace('"', "") for text in self.overrides)])


class Plan(NamedTuple):
    """The runs of a sweep, in the order in which they start; one line for each that repeats another."""

    out: Path
    runs: tuple[Run, ...]
    merged: tuple[str, ...]


def plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Expand a sweep file.

    Args:
        path: the sweep file, see :class:`Sweep`.
        overrides: ``key=value``; ``seeds``, ``out`` and ``draws.count`` change the sweep, all else every run.

    Returns:
        The runs: for every seed, each config with every combination of its settings; so that a sweep that is stopped
        early has compared everything on the first seeds.

    Raises:
        ValueError: an unknown key, a config that is not there, or a setting that a config does not have.
    """
    own = [text for text in overrides if text.partition("=")[0].partition(".")[0] in ("seeds", "out", "draws")]
    sweep = _read(path, own)
    common = dict(sweep.set) | dict(_split(text) for text in overrides if text not in own)
    out = sweep.out or str(Path("runs") / path.stem)
    fixed = [f"{key}={_text(value)}" for key, value in common.items()]
    found: dict[str, Run] = {}
    merged = []
    for source, varied in _expand(sweep, path.parent, common):
        run = _run(source, fixed, varied, out)
        if found.setdefault(run.name, run) is not run:
            merged.append(f"{run.settings} is the same run as {found[run.name].settings}")
    return Plan(Path(out), tuple(found.values()), tuple(merged))


def _run(source: str, fixed: Sequence[str], varied: Mapping[str, Any], out: str) -> Run:
    texts = [f"{key}={_text(value)}" for key, value in varied.items()]
    try:
        config = configs.load(source, [*fixed, *texts, f"out={_text(out)}", "progress=false"])
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return Run(source, tuple(texts), config)


def _expand(sweep: Sweep, beside: Path, common: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    entries = [_entry(entry, sweep.grid, beside) for entry in sweep.configs]
    drawn = draw(sweep.draws.count, seed=sweep.draws.seed, values=sweep.draws.values) or [{}]
    for source, grid in entries:
        _check_keys(source, common, grid, sweep.draws.values)
    for seed in sweep.seeds:
        for source, grid in entries:
            for point in itertools.product(*grid.values()):
                for random_values in drawn:
                    yield source, dict(zip(grid, point, strict=True)) | random_values | {"seed": seed}


def _entry(entry: Any, grid: Mapping[str, Any], beside: Path) -> tuple[str, dict[str, list[Any]]]:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or len(entry) != 1 or not isinstance(next(iter(entry.values())), dict):
        raise ValueError(f"configs: {entry!r} must be a config, or a config with its own grid as in NAME: {{key: [1]}}")
    ((source, own),) = entry.items()
    whole = {**grid, **own}
    for key, values in whole.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"grid.{key} must be a list of values, as in [1e-3, 1e-4]; got {values!r}")
    return str(beside / source) if (beside / source).is_file() else source, whole


def _check_keys(source: str, *layers: Mapping[str, Any]) -> None:
    keys = [key for layer in layers for key in layer]
    for key in keys:
        if key in OWN:
            raise ValueError(f"{key} cannot be set or varied here: a sweep says it by {OWN[key]}")
        if keys.count(key) > 1:
            raise ValueError(f"{source}: {key} is given twice, by set, grid or draws: leave it in one of them")


def _read(path: Path, overrides: Sequence[str]) -> Sweep:
    if not path.is_file():
        raise ValueError(f"no sweep file {path}: give the path of a YAML file, see docs/sweeps.md")
    try:
        layers = [OmegaConf.load(path), OmegaConf.from_dotlist(list(overrides))]
    except Exception as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(layers[0], DictConfig):
        raise ValueError(f"{path} must hold keys and values, as in 'seeds: [0, 1]'")
    valid = list(Sweep.__dataclass_fields__)
    for key in (key for layer in layers for key in layer):
        if key not in valid:
            raise ValueError(f"{path}: unknown key {key!r}; {near(str(key), valid)}")
    try:
        merged = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Sweep), *layers))
    except OmegaConfBaseException as error:
        raise ValueError(f"{path}: {error.full_key}: {str(error).splitlines()[0]}") from error
    assert isinstance(merged, Sweep)
    _check_numbers(path, merged)
    return merged


def _check_numbers(path: Path, sweep: Sweep) -> None:
    for key in ("configs", "seeds"):
        if not getattr(sweep, key):
            raise ValueError(f"{path}: {key} is empty: name at least one")
    if sweep.draws.count < 0 or bool(sweep.draws.count) != bool(sweep.draws.values):
        raise ValueError(f"{path}: draws needs count, at least 1, and values; got count={sweep.draws.count}")


def _split(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"override {text!r} must be key=value, as in epochs=5")
    return key, OmegaConf.select(OmegaConf.from_dotlist([f"value={value}"]), "value")


def _text(value: Any) -> str:
    # JSON is YAML, in which OmegaConf reads overrides; quotes keep text from being taken for a number
    return json.dumps(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value, ensure_ascii=False)
