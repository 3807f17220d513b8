"""Read ``report.json``, the record of a finished run, into typed classes."""

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
from debias.reports.taken import TakenStage

if TYPE_CHECKING:
    from debias.types import Groups

SCHEMA = 1
PAGE = "report.html"
#: Accuracies of the groups, if they are too many for the page.
ACCURACIES = "accuracies.csv"
REMEDY = "restore it, or delete the run's folder and train again"


@dataclass(frozen=True)
class AttributeRecord:
    """One of several bias attributes, as :class:`debias.types.Attribute`."""

    name: str
    values: list[str]
    aligned: list[list[int]]


@dataclass(frozen=True)
class Data:
    """The data set of a run: its name, the names of its groups, and their sizes in each split.

    ``aligned`` holds the (target, bias) pairs of the shortcut. ``digest`` is that of the rows and
    labels. ``counts`` has the images per group, and ``class_counts`` the images per class.
    ``attributes`` are several bias attributes. ``biases`` are their combinations. ``contexts`` are
    the known pairs (label, context) of several labels.
    """

    targets: list[str]
    biases: list[str]
    aligned: list[list[int]]
    multi_label: bool
    groups: list[str]
    counts: Mapping[str, list[int]]
    name: str = ""
    digest: str | None = None
    class_counts: Mapping[str, list[int]] = field(default_factory=dict)
    attributes: tuple[AttributeRecord, ...] = ()
    contexts: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingGroups:
    """The bias values that training saw in place of those of the data set, and its group sizes."""

    biases: list[str]
    counts: list[int]


@dataclass(frozen=True)
class Model:
    """The network of a run: its name, number of parameters, and initial weights."""

    weights: str
    name: str = ""
    parameters: int = 0


@dataclass(frozen=True)
class StrategyRecord:
    """The strategy of a run, and the labels that it uses.

    ``group_labels`` names the splits whose group labels were read. ``method`` is the name of recipe
    and strategy. ``requires`` lists the required labels.
    """

    name: str
    group_labels: str
    method: str = ""
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The setting that a last-layer recipe chose on held-out images.

    Attributes:
        by: the metric that was maximised.
        on: the images that it was computed on, such as "half of val".
        chosen: the chosen setting, and its score.
        grid: all settings, with their scores.
        smallest: name and number of images of the smallest group.
    """

    by: str
    on: str
    chosen: Mapping[str, float]
    grid: tuple[Json, ...]
    smallest: Json


@dataclass(frozen=True)
class Preferred:
    """The epoch that a selection rule prefers, with the validation metrics of this epoch."""

    rule: str
    epoch: int
    value: float | None
    val: Scalars = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The selection rule of a run, the selected epoch, and the epoch that each rule prefers."""

    rule: str
    epoch: int
    table: tuple[Preferred, ...]

    @property
    def chosen(self) -> Preferred:
        """The row of ``table`` with the run's own rule."""
        return next(row for row in self.table if row.rule == self.rule)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of the history: its validation metrics, and the values logged in training."""

    epoch: int
    val: Scalars
    train: Scalars


@dataclass(frozen=True)
class Seconds:
    """Durations of a run in seconds.

    ``train`` is the training of all stages, ``epoch`` the mean of an epoch, and ``total`` includes
    the evaluation.
    """

    train: float
    epoch: float
    total: float


@dataclass(frozen=True)
class Git:
    """The git commit of the code, and whether tracked files differ from it; ``None`` if unknown."""

    commit: str | None
    dirty: bool | None


@dataclass(frozen=True)
class OwnPart:
    """A user's own part: "module:object", its installed package, and a digest of its file."""

    name: str
    package: str | None = None
    version: str | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        release = " ".join(filter(None, (self.package, self.version)))
        digest = f"file sha256 {self.sha256}" if self.sha256 else ""
        known = ", ".join(filter(None, (release, digest)))
        return f"{self.name} ({known})" if known else self.name


@dataclass(frozen=True)
class Circumstances:
    """Package versions, code, own parts and device of one process that trained a run."""

    versions: Mapping[str, str]
    git: Git
    device: str = "unknown device"
    own_parts: tuple[OwnPart, ...] = ()

    @property
    def torch(self) -> str:
        """Version of torch, or "unknown"."""
        return self.versions.get("torch", "unknown")


@dataclass(frozen=True)
class Report:
    """The record of a finished run. Its entries are explained in ``docs/run_folder.md``.

    Attributes:
        folder: the run's folder.
        entries: the contents of the file, including entries that this version does not know.
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
    training_groups: TrainingGroups | None = None
    taken: tuple[TakenStage, ...] = ()
    circumstances: tuple[Circumstances, ...] = ()
    own_parts: tuple[OwnPart, ...] = ()
    predicted_from: Mapping[str, str] | None = None
    measures: Mapping[str, Scalars] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    curves: Json = field(default_factory=dict)

    @cached_property
    def test(self) -> Split:
        """Metrics of the test split.

        Raises:
            InputError: the report has no test metrics, or damaged ones.
        """
        return self._split("test")

    @cached_property
    def val(self) -> Split:
        """Metrics of the validation split.

        Raises:
            InputError: the report has no validation metrics, or damaged ones.
        """
        return self._split("val")

    @cached_property
    def train(self) -> Split:
        """Metrics of the training split.

        Raises:
            InputError: the report has no training metrics, or damaged ones.
        """
        return self._split("train")

    @property
    def groups(self) -> Groups:
        """The groups of the run's evaluation, for computing metrics of its predictions again."""
        from debias.reports.recorded_groups import groups_of  # imports torch

        return groups_of(self.data)

    @property
    def method(self) -> str:
        """Name of the method: recipe and strategy, without those that are the default."""
        return self.strategy.method or self.strategy.name

    @property
    def config_name(self) -> str:
        """Last part of the name of the run's config, such as "jtt" for "waterbirds/jtt"."""
        return Path(str(self.config.get("name", ""))).stem

    @property
    def parts(self) -> tuple[Circumstances, ...]:
        """Circumstances of each process that trained the run, in order; at least one."""
        last = Circumstances(self.versions, self.git, self.device, self.own_parts)
        return self.circumstances or (last,)

    @property
    def positive_class(self) -> str | None:
        """The positive class of the measures: that of the report, by default the second of two.

        ``None`` if there are not exactly two classes.
        """
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
    """Convert the entries of a ``report.json`` to a typed record.

    Config keys that are newer than the run get their defaults, which reproduce its behaviour.

    Args:
        entries: contents of the file.
        folder: the run's folder.

    Raises:
        InputError: the record has another schema, or is damaged.
    """
    path = folder / "report.json"
    if entries.get("schema") != SCHEMA:
        schema = entries.get("schema")
        raise InputError(
            f"{path} has schema {schema!r}; this version of debias reads schema {SCHEMA}"
        )
    if isinstance(config := entries.get("config"), dict):
        entries = {**entries, "config": configs.plain(configs.Config()) | config}
    try:
        return typed(Report, {**entries, "folder": folder, "entries": entries})
    except MisfitError as misfit:
        raise lacking(path, str(misfit), REMEDY) from None


def read_report(folder: Path) -> Report:
    """Read the record of a finished run. A number that was NaN is ``None``.

    Raises:
        InputError: the run does not exist or has not finished, or this version of debias cannot
            read its record.
    """
    path = folder / "report.json"
    if not path.is_file():
        raise InputError(_absence(folder))
    return report_of(read_json(path, dict, entries={}, remedy=REMEDY), folder)


def _absence(folder: Path) -> str:
    config = folder / "config.yaml"
    if config.is_file():
        return (
            f"{folder} has not finished (no report.json): resume it with `debias train {config} "
            f"resume={folder}`"
        )
    absent = "does not exist"
    if folder.is_dir():
        absent = "is not a run folder (no report.json, no config.yaml)"
    return f"{folder} {absent}: give the folder that `debias train` printed"
