"""A sweep file to a list of runs. Planning loads no torch; the checks of options do."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from debias import config as configs
from debias.config import Config
from debias.errors import InputError
from debias.merging import Section, Settings, read_overrides, split_overrides
from debias.sweeps.draws import draw
from debias.sweeps.sweep_file import Sweep, read

#: What a sweep says by keys of its own, and its runs therefore must not.
OWN = {"seed": "seeds", "out": "out", "name": "configs"}

#: What the command line may say of the sweep itself.
CHANGEABLE = ("seeds", "out", "draws", "labels")


@dataclass(frozen=True)
class PlannedRun:
    """One run: the arguments of ``debias train``, and the config that follows from them."""

    source: str
    overrides: tuple[str, ...]
    config: Config

    @cached_property
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
    """The runs of a sweep in the order of their start, and a line for each repeated one.

    ``labels`` names the group labels that they may use, see :mod:`debias.sweeps.protocol`; ``None``
    is any.
    """

    out: Path
    runs: tuple[PlannedRun, ...]
    merged: tuple[str, ...]
    labels: str | None = None


def plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Expand a sweep file.

    Args:
        path: the sweep file, see :class:`Sweep`.
        overrides: ``key=value``; those of ``CHANGEABLE`` change the sweep, all else every run.

    Returns:
        The runs: for every seed, each config with every combination of its settings; so that a
        sweep that is stopped early has compared everything on the first seeds.

    Raises:
        ValueError: an unknown key, a config that is not there, or a setting that a config does not
            have.
    """
    own, others = split_overrides(overrides, CHANGEABLE)
    sweep = read(path, own)
    if sweep.search is not None or sweep.final_seeds:
        command = f"debias sweep search {path}"
        raise InputError(f"{path} is of a search: its runs are found by `{command}`")
    common = fixed_settings(sweep, others)
    out = folder(sweep, path)
    found: dict[str, PlannedRun] = {}
    merged = []
    from debias.sweeps.backbones import with_backbones  # which makes runs of this module

    makers: dict[str, Maker] = {}

    def make(source: str, varied: Section) -> PlannedRun:
        """The run of a config with settings of its own; each config is read once."""
        maker = makers.get(source) or makers.setdefault(source, Maker(source, common, out))
        return maker.run(varied)

    for run in with_backbones(_expand(sweep, path.parent, common), make, path.parent):
        if found.setdefault(run.name, run) is not run:
            merged.append(f"{run.settings} is the same run as {found[run.name].settings}")
    return Plan(out, tuple(found.values()), tuple(merged), sweep.labels)


def folder(sweep: Sweep, path: Path) -> Path:
    """What receives the runs of a sweep file."""
    return Path(sweep.out or Path("runs") / path.stem)


def fixed_settings(sweep: Sweep, overrides: Sequence[str]) -> Settings:
    """What is the same for every run: ``set``, and what the command line says over it."""
    return dict(sweep.set) | dict(map(setting_of, overrides))


def setting_of(text: str) -> tuple[str, Any]:
    """Key and value of a ``key=value`` text; the key is not taken apart at its dots.

    Raises:
        ValueError: the text has no "=", or its value cannot be read.
    """
    key, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"override {text!r} must be key=value, as in epochs=5")
    read_overrides([text])  # an error shows the text as it was written
    return key, read_overrides([f"value={value}"])["value"]


def make_run(source: str, fixed: Section, varied: Section, out: Path) -> PlannedRun:
    """The run of a config with some settings.

    Args:
        source: the config, as ``debias train`` takes it.
        fixed: settings of every run.
        varied: settings of this run, the seed included.
        out: folder that receives the run's folder.

    Raises:
        ValueError: no such config, or a setting that it does not have.
    """
    return Maker(source, fixed, out).run(varied)


class Maker:
    """Makes the runs of a config, whose files it reads once; see :func:`make_run`."""

    def __init__(self, source: str, fixed: Section, out: Path) -> None:
        with mistakes_of(source):
            self.base = configs.base(source)
        self.fixed, self.last = _texts(fixed), _texts({"out": str(out), "progress": False})

    def run(self, varied: Section) -> PlannedRun:
        """The run of some settings."""
        texts = _texts(varied)
        with mistakes_of(self.base.source):
            return PlannedRun(
                self.base.source, texts, self.base.config([*self.fixed, *texts, *self.last])
            )


@contextmanager
def mistakes_of(owner: str) -> Iterator[None]:
    """Begin the message of a mistake with the config or the run that has it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{owner}: {error}") from error


def _expand(sweep: Sweep, beside: Path, common: Section) -> Iterator[tuple[str, Settings]]:
    entries = [entry(line, sweep.grid, beside) for line in sweep.configs]
    drawn = draw(sweep.draws.count, seed=sweep.draws.seed, values=sweep.draws.values) or [{}]
    for source, grid in entries:
        _check_grid(source, grid, sweep.grid)
        check_keys(source, common, grid, sweep.draws.values)
    for seed in sweep.seeds:
        for source, grid in entries:
            for values in itertools.product(*grid.values()):
                point = dict(zip(grid, values, strict=True))
                yield from ((source, point | chosen | {"seed": seed}) for chosen in drawn)


def entry(line: Any, common: Section, beside: Path) -> tuple[str, Settings]:
    """A line of ``configs``: the config, and its own variations over the common ones.

    Raises:
        ValueError: it is neither a config nor a config with keys of its own.
    """
    if isinstance(line, str):
        line = {line: {}}
    own_grid = isinstance(line, dict) and len(line) == 1 and next(iter(line.values()))
    if not isinstance(own_grid, dict):
        raise InputError(
            f"configs: {line!r} must be a config, or a config with its own grid as in NAME: {{key: "
            "[1]}"
        )
    ((source, own),) = line.items()
    return str(beside / source) if (beside / source).is_file() else source, {**common, **own}


def _check_grid(source: str, grid: Section, common: Section) -> None:
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            place = "grid." if common.get(key) is values else f"{source}: "
            example = "VALUE" if isinstance(values, (list, dict)) else values
            raise InputError(
                f"{place}{key} must be a list of values, as in {key}: [{example}]; got {values!r}"
            )


def check_keys(source: str, *layers: Section) -> None:
    """Refuse keys that a sweep sets otherwise or gives twice, and progress bars.

    Raises:
        ValueError: naming the key.
    """
    keys = [key for layer in layers for key in layer]
    for key in keys:
        if key in OWN:
            raise InputError(f"{key} cannot be set or varied here: a sweep gives it by {OWN[key]}")
        if keys.count(key) > 1:
            raise InputError(
                f"{source}: {key} is given twice, by set, grid, draws or space: leave it in one of "
                "them"
            )
    for layer in layers:
        if layer.get("progress", False) is not False:
            raise InputError(
                f"progress={layer['progress']} has no use in a sweep: its runs write logs; leave "
                "it out"
            )


def _texts(settings: Section) -> tuple[str, ...]:
    # JSON is YAML, in which OmegaConf reads overrides; quotes keep text from being taken for a
    # number
    texts = ((key, json.dumps(value, ensure_ascii=False)) for key, value in settings.items())
    return tuple(f"{key}={text}" for key, text in texts)
