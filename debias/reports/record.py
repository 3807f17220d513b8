"""``report.json``, the record of a finished run, with types: read back with clear errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from debias import config as configs
from debias.errors import InputError
from debias.json_files import Json, MisfitError, lacking, read_json, typed
from debias.reports.split import Scalars, Split

if TYPE_CHECKING:
    from debias.types import Groups

SCHEMA = 1
PAGE = "report.html"
REMEDY = "restore it, or delete the run's folder and train again"


@dataclass(frozen=True)
class Data:
    """The data set: names of its groups, and their sizes by split."""

    targets: list[str]
    biases: list[str]
    aligned: list[list[int]]
    multi_label: bool
    groups: list[str]
    counts: Mapping[str, list[int]]
    name: str = ""
    digest: str | None = None
    class_counts: Mapping[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """The network, and the weights that it started from."""

    weights: str
    name: str = ""
    parameters: int = 0


@dataclass(frozen=True)
class StrategyRecord:
    """The strategy, the labels that it requires, and on which splits group labels were read."""

    name: str
    group_labels: str
    method: str = ""
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What a recipe chose on held-out images, and every setting that it tried."""

    by: str
    on: str
    chosen: Mapping[str, float]
    grid: tuple[Json, ...]
    smallest: Json


@dataclass(frozen=True)
class Preferred:
    """The epoch that a selection rule prefers, and its scalars of validation."""

    rule: str
    epoch: int
    value: float | None
    val: Scalars = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The rule that chose the epoch, and what every rule prefers."""

    rule: str
    epoch: int
    table: tuple[Preferred, ...]

    @property
    def chosen(self) -> Preferred:
        """What the run's own rule prefers."""
        return next(row for row in self.table if row.rule == self.rule)


@dataclass(frozen=True)
class Epoch:
    """What training and validation logged."""

    epoch: int
    val: Scalars
    train: Scalars


@dataclass(frozen=True)
class Seconds:
    """Training of every stage, mean of an epoch, and all with the evaluation."""

    train: float
    epoch: float
    total: float


@dataclass(frozen=True)
class Git:
    """The state of the code."""

    commit: str | None
    dirty: bool | None


@dataclass(frozen=True)
class Circumstances:
    """Where, and with which code, one process trained a run."""

    versions: Mapping[str, str]
    git: Git
    device: str = "unknown device"

    @property
    def torch(self) -> str:
        """Version of torch."""
        return self.versions.get("torch", "unknown")


@dataclass(frozen=True)
class Report:
    """The record of a finished run. ``docs/run_folder.md`` says what its entries mean.

    Attributes:
        folder: of the run.
        entries: what the file holds, with entries that this version does not know.
    """

    folder: Path
    entries: Json
    config: Json
    data: Data
    model: Model
    strategy: StrategyRecord
    seed: int
    precision: str
    versions: Mapping[str, str]
    git: Git
    selection: Selection
    metrics: Mapping[str, object]
    seconds: Seconds
    device: str = "unknown device"
    name: str = ""
    history: tuple[Epoch, ...] = ()
    peak_memory_mb: int | None = None
    backbone: str = ""
    positive: str | None = None
    choice: Choice | None = None
    circumstances: tuple[Circumstances, ...] = ()
    predicted_from: Mapping[str, str] | None = None
    measures: Mapping[str, Scalars] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    curves: Json = field(default_factory=dict)

    @cached_property
    def test(self) -> Split:
        """Metrics of the test split.

        Raises:
            InputError: there are none, or damaged ones.
        """
        return self._split("test")

    @cached_property
    def val(self) -> Split:
        """Metrics of the validation split; raises as ``test``."""
        return self._split("val")

    @property
    def groups(self) -> Groups:
        """The groups that the run was evaluated on, so that its predictions can be scored again."""
        from debias.types import Groups  # brings torch, which reading a report does not need

        data = self.data
        aligned = tuple((target, bias) for target, bias in data.aligned)
        return Groups(tuple(data.targets), tuple(data.biases), aligned, data.multi_label)

    @property
    def method(self) -> str:
        """Name of the recipe and the strategy, as far as they are not the plain ones."""
        return self.strategy.method or self.strategy.name

    @property
    def config_name(self) -> str:
        """Last part of the name of the config that the run was started from."""
        return Path(str(self.config.get("name", ""))).stem

    @property
    def parts(self) -> tuple[Circumstances, ...]:
        """Circumstances of each process that trained the run; of an undisturbed run, its own."""
        return self.circumstances or (Circumstances(self.versions, self.git, self.device),)

    @property
    def positive_class(self) -> str | None:
        """The positive class of its measures. Where the file has none, it is the second of two."""
        two = len(self.data.targets) == 2 and not self.data.multi_label
        return self.positive or (self.data.targets[1] if two else None)

    def _split(self, name: str) -> Split:
        path = self.folder / "report.json"
        try:
            return typed(Split, self.metrics.get(name))
        except MisfitError:
            raise InputError(
                f"{path} has no {name} metrics: write them with `debias evaluate {self.folder}`"
            ) from None


def report_of(entries: Json, folder: Path) -> Report:
    """A record with types.

    Keys of the config that came into being after the run have their defaults, which are what it
    did.

    Raises:
        InputError: the record is of another schema, or damaged.
    """
    path = folder / "report.json"
    if entries.get("schema") != SCHEMA:
        found = entries.get("schema")
        raise InputError(
            f"{path} has schema {found!r}; this version of debias reads schema {SCHEMA}"
        )
    if isinstance(config := entries.get("config"), dict):
        entries = {**entries, "config": configs.plain(configs.Config()) | config}
    try:
        return typed(Report, {**entries, "folder": folder, "entries": entries})
    except MisfitError as misfit:
        raise lacking(path, str(misfit), REMEDY) from None


def read_report(folder: Path) -> Report:
    """The record of a finished run; what was NaN is ``None``.

    Raises:
        InputError: no such run, a run that has not finished, or a record that this version cannot
            read; the message names the remedy.
    """
    path = folder / "report.json"
    if not path.is_file():
        raise InputError(_absence(folder))
    return report_of(read_json(path, dict, entries={}, remedy=REMEDY), folder)


def _absence(folder: Path) -> str:
    config = folder / "config.yaml"
    if config.is_file():
        return (
            f"{folder} has not finished (no report.json): continue it with `debias train {config} "
            f"resume={folder}`"
        )
    absent = "does not exist"
    if folder.is_dir():
        absent = "is not a run folder (no report.json, no config.yaml)"
    return f"{folder} {absent}: give the folder that `debias train` printed"
