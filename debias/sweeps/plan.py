"""Expand a sweep file into a list of runs. Planning does not import torch."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from debias import config as configs
from debias.config import Config
from debias.errors import InputError
from debias.merging import Section, Settings, read_overrides, split_overrides
from debias.places import runs_folder
from debias.storage.urls import is_url, joined, local_copy
from debias.sweeps.draws import draw
from debias.sweeps.sweep_file import Sweep, read

#: Keys of a config that the runs of a sweep cannot set, and the key of the sweep file for each.
OWN = {"seed": "seeds", "out": "out", "name": "configs"}

#: Folder of a sweep in which its runs share stages and features, unless ``share`` names another.
SHARED = "shared"

#: Keys of the sweep file that ``key=value`` on the command line can change.
CHANGEABLE = ("seeds", "out", "draws", "labels")


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: the arguments of ``debias train``, and the resulting config.

    Args:
        source: the config, as ``debias train`` accepts it.
        overrides: ``key=value`` texts that the sweep varies, including the seed.
        config: the complete config of the run.
    """

    source: str
    overrides: tuple[str, ...]
    config: Config

    @cached_property
    def name(self) -> str:
        """Name of the run's folder. It contains a digest of the config."""
        return configs.run_name(self.config)

    @property
    def folder(self) -> Path:
        """The run's folder, in the folder that its config names as ``out``, or its local copy."""
        return runs_folder(self.config) / self.name

    @property
    def settings(self) -> str:
        """The config and the varied settings as text, for messages and tables."""
        return " ".join([self.source, *(text.replace('"', "") for text in self.overrides)])


class Plan(NamedTuple):
    """The runs of a sweep.

    Args:
        out: folder of the sweep.
        runs: the distinct runs, in the order in which they start.
        merged: one line for each run that is identical to an earlier one.
        labels: the protocol, which limits the group labels that runs may use, see
            :mod:`debias.sweeps.protocol`. ``None`` allows all.
        url: the URL of the folder, if ``out`` is the local copy of a folder on object storage.
    """

    out: Path
    runs: tuple[PlannedRun, ...]
    merged: tuple[str, ...]
    labels: str | None = None
    url: str | None = None


def plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Expand a sweep file into its runs.

    Args:
        path: the sweep file, see :class:`Sweep`.
        overrides: ``key=value`` texts. Keys of ``CHANGEABLE`` change the sweep; other keys change
            every run.

    Returns:
        The runs: for every seed, each config with every combination of its settings. All runs of
        one seed come before those of the next. A sweep that is stopped early can therefore compare
        all settings on the first seeds.

    Raises:
        ValueError: a key is unknown, a config does not exist, a config does not have a setting, or
            the file describes a search.
    """
    own, others = split_overrides(overrides, CHANGEABLE)
    sweep = read(path, own)
    if sweep.search is not None or sweep.final_seeds:
        command = f"debias sweep search {path}"
        raise InputError(f"{path} describes a search, not a list of runs. Use `{command}`")
    common = fixed_settings(sweep, others)
    url, out = (sweep.out, None) if is_url(sweep.out) else (None, folder(sweep, path))
    if out is None:
        out = local_copy("out", str(url), common.get("cache_dir"))
    place = url or str(out)
    distinct: dict[str, PlannedRun] = {}
    merged = []
    from debias.sweeps.backbones import with_backbones  # that module imports this one

    makers: dict[str, Maker] = {}

    def make(source: str, varied: Section) -> PlannedRun:
        """Make the run of a config with its varied settings. Each config is read only once."""
        maker = makers.get(source) or makers.setdefault(source, Maker(source, common, place))
        return maker.run(varied)

    for run in with_backbones(_expand(sweep, path.parent, common), make, path.parent):
        if distinct.setdefault(run.name, run) is not run:
            merged.append(f"{run.settings} is the same run as {distinct[run.name].settings}")
    return Plan(out, tuple(distinct.values()), tuple(merged), sweep.labels, url)


def folder(sweep: Sweep, path: Path) -> Path:
    """The folder for the runs of a sweep file: ``out``, or ``runs/<name of the file>``."""
    return Path(sweep.out or Path("runs") / path.stem)


def fixed_settings(sweep: Sweep, overrides: Sequence[str]) -> Settings:
    """Settings common to every run: ``set`` of the sweep file, overridden by the command line."""
    return dict(sweep.set) | dict(map(setting_of, overrides))


def setting_of(text: str) -> tuple[str, Any]:
    """Parse a ``key=value`` text into its key and value. A dotted key remains one key.

    Raises:
        ValueError: the text has no "=", or its value is not valid YAML.
    """
    key, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"override {text!r} must be key=value, as in epochs=5")
    read_overrides([text])  # an error shows the text as it was written
    return key, read_overrides([f"value={value}"])["value"]


def make_run(source: str, fixed: Section, varied: Section, out: Path) -> PlannedRun:
    """Make one run from a config and settings.

    Args:
        source: the config, as ``debias train`` accepts it.
        fixed: settings common to every run.
        varied: settings of this run, including its seed. They override ``fixed``.
        out: folder of the sweep, which will contain the run's folder.

    Raises:
        ValueError: the config does not exist, or does not have one of the settings.
    """
    return Maker(source, fixed, str(out)).run(varied)


class Maker:
    """Makes the runs of one config, and reads its files only once; see :func:`make_run`."""

    def __init__(self, source: str, fixed: Section, out: str) -> None:
        with mistakes_of(source):
            self.base = configs.base(source)
        shared = {} if self.base.values["share"] else {"share": _below(out, SHARED)}
        self.fixed = _texts({**shared, **fixed})
        # tables, costs and studies of a search tell configs apart by their source
        self.last = _texts({"out": out, "progress": False, "name": self.base.source})

    def run(self, varied: Section) -> PlannedRun:
        """Make the run with the given varied settings, including its seed."""
        texts = _texts(varied)
        with mistakes_of(self.base.source):
            return PlannedRun(
                self.base.source, texts, self.base.config([*self.fixed, *texts, *self.last])
            )


def _below(out: str, name: str) -> str:
    return joined(out, name) if is_url(out) else str(Path(out) / name)


@contextmanager
def mistakes_of(owner: str) -> Iterator[None]:
    """Put the name of a config or run before the message of an ``InputError`` in the context."""
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
    """Parse an entry of ``configs`` into the config and its grid: its own over the common one.

    Args:
        line: the entry: a config, or ``{config: {key: [values]}}``.
        common: the grid that all configs share.
        beside: folder of the sweep file. Paths of configs are relative to it.

    Raises:
        ValueError: the entry has neither of these forms.
    """
    if isinstance(line, str):
        line = {line: {}}
    own_grid = isinstance(line, dict) and len(line) == 1 and next(iter(line.values()))
    if not isinstance(own_grid, dict):
        raise InputError(
            f"an entry of configs must be NAME, or NAME: {{key: [1]}} with its own grid; got "
            f"{line!r}"
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


def _gives(values: Any, option: str) -> bool:
    """Whether one of the values of a section, at any depth, has this option."""
    if isinstance(values, list):
        return any(_gives(value, option) for value in values)
    return isinstance(values, Mapping) and (
        option in values or any(_gives(value, option) for value in values.values())
    )


def check_keys(source: str, *layers: Section) -> None:
    """Check the keys that a sweep file sets or varies for a config.

    Raises:
        ValueError: a key belongs to the sweep itself (``OWN``), occurs in two layers, is given
            again in a section of a later layer, or is ``progress`` with a value other than false.
    """
    keys = [key for layer in layers for key in layer]
    for key in keys:
        if key in OWN:
            raise InputError(f"{key} cannot be set or varied for runs of a sweep. Use {OWN[key]}")
        if keys.count(key) > 1:
            raise InputError(
                f"{source}: {key} occurs in two of set, grid, draws and space. Keep it in one of "
                "them"
            )
    for layer, later in itertools.combinations(layers, 2):
        for key, section in itertools.product(layer, later):
            option = key.removeprefix(f"{section}.")
            if option != key and _gives(later[section], option.partition(".")[0]):
                raise InputError(
                    f"{source}: {key} is lost, because values of the section {section} give it "
                    "too. Keep it in one place"
                )
    for layer in layers:
        if layer.get("progress", False) is not False:
            raise InputError(
                "progress must be false in a sweep, because its runs write log files; got "
                f"progress={layer['progress']}. Leave it out"
            )


def _texts(settings: Section) -> tuple[str, ...]:
    # OmegaConf reads overrides as YAML, which includes JSON; quotes keep a text a text
    texts = ((key, json.dumps(value, ensure_ascii=False)) for key, value in settings.items())
    return tuple(f"{key}={text}" for key, text in texts)
