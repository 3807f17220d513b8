"""Compare runs in one table: one row per method, with mean and deviation over the seeds."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from debias.errors import InputError, near, printable
from debias.reports.classes import positive_notes
from debias.reports.record import Epoch, Report, read_report
from debias.reports.run_labels import by_rows, differences, identity, labels, run_folders
from debias.reports.split import PLURALS, PREFIXES, SCALARS, Scalars
from debias.reports.tables import Spread, listed, markdown_table, spread_of, text_table

#: With more groups than this, the table has no columns for them; the reports of the runs list them.
GROUP_COLUMNS = 8
#: The numbers of what a summary leaves out. All summaries share it.
NOTHING: Mapping[str, float | None] = {}


@dataclass(frozen=True)
class ComparedMethod:
    """A method in a comparison: runs whose settings and data differ only in the seed.

    Args:
        label: short name, different from those of the other methods in the comparison.
        runs: records of the runs, in rising order of their seeds.
    """

    label: str
    runs: tuple[Report, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs, in rising order."""
        return tuple(run.seed for run in self.runs)

    @property
    def group_labels(self) -> str:
        """The splits whose group labels the method used, such as "none", "val" or "train+val"."""
        return self.runs[0].strategy.group_labels

    @property
    def kind(self) -> str:
        """Whether accuracies are by "group", or by "class" because no bias label is known."""
        return self.runs[0].test.kind

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups (or classes) with an accuracy, depending on ``kind``."""
        return tuple(cell.name for cell in self.runs[0].test.cells)

    @cached_property
    def worst(self) -> Spread:
        """Test accuracy of the worst group (or class). Methods are ranked by it."""
        return self.test(SCALARS[self.kind][0])

    def test(self, metric: str) -> Spread:
        """Mean and deviation of a test metric over the seeds."""
        return spread_of([run.test.scalars.get(metric) for run in self.runs])

    def measure(self, name: str) -> Spread:
        """Mean and deviation of a measure over the seeds.

        ``name`` is "family:key", such as "features:leakage/features", or "accuracy:key" for an
        accuracy of the test split, such as "accuracy:worst_group/gender".
        """
        family, _, key = name.partition(":")
        return spread_of([_numbers(run).get(family, {}).get(key) for run in self.runs])

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean duration of an epoch over the seeds; ``None`` if unknown."""
        return spread_of([run.seconds.epoch for run in self.runs]).mean


@dataclass(frozen=True)
class Comparison:
    """A table of methods.

    Args:
        methods: the methods, best worst group (or class) first.
        left_out: one line for each run that is not in the table, with the reason.
        measures: additional columns, as "family:key".
    """

    methods: tuple[ComparedMethod, ...]
    left_out: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()

    @cached_property
    def kind(self) -> str:
        """Whether accuracies are by "group", or by "class" because no method has groups."""
        return "group" if any(method.kind == "group" for method in self.methods) else "class"

    @property
    def plural(self) -> str:
        """The plural of ``kind``."""
        return PLURALS[self.kind]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Names of all groups (or classes) of the methods; empty if more than ``GROUP_COLUMNS``."""
        alike = [method for method in self.methods if method.kind == self.kind]
        names = tuple(dict.fromkeys(name for method in alike for name in method.groups))
        return names if len(names) <= GROUP_COLUMNS else ()

    @cached_property
    def scores(self) -> tuple[str, ...]:
        """The test metrics with a column each.

        The worst class is among them only if a run selected its epoch by it.
        """
        runs = [run for method in self.methods for run in method.runs]
        selected = any(run.selection.rule == "worst_class" for run in runs)
        return SCALARS[self.kind][: 4 if selected else 3]

    def header(self) -> list[str]:
        """Titles of the columns. All numbers are in percent, except the seconds per epoch."""
        scores = [name.replace("_", " ") for name in self.scores]
        measures = [_title(name) for name in self.measures]
        return ["method", "group labels", "seeds", *scores, *measures, *self.groups, "s/epoch"]

    def rows(self) -> Sequence[Sequence[str]]:
        """One row of text cells per method; scores are mean ± standard deviation over the seeds."""
        return self._rows

    @cached_property
    def _rows(self) -> list[list[str]]:
        return [self._row(method) for method in self.methods]

    def notes(self) -> list[str]:
        """Write the notes below the table.

        There is one line for each method whose runs differ in weights, precision, code or torch
        version. Another line names the positive class, if a measure depends on it.
        """
        texts = [(method.label, differences(method.runs)) for method in self.methods]
        notes = [f"{label}: differs between seeds: {text}" for label, text in texts if text]
        reports = {method.label: method.runs for method in self.methods}
        return [*notes, *positive_notes(self.measures, reports)]

    def table(self, format: str = "text") -> str:
        """Write the table, and below it the notes and one line for each run that was left out.

        Args:
            format: "text" for a terminal, or "markdown".

        Raises:
            ValueError: ``format`` is neither of these.
        """
        tables = {"text": text_table, "markdown": markdown_table}
        if format not in tables:
            raise InputError(f"format {format!r} is unknown; valid: {', '.join(tables)}")
        lines = tables[format](self.header(), self.rows()) if self.methods else ["no finished run"]
        notes = [*self.notes(), *(f"left out: {reason}" for reason in self.left_out)]
        notes = [f"{'- ' if format == 'markdown' else ''}{note}" for note in notes]
        return "\n".join(map(printable, [*lines, *([""] if notes else []), *notes]))

    def _row(self, method: ComparedMethod) -> list[str]:
        scores = [method.test(metric) for metric in self.scores]
        scores += [method.measure(name) for name in self.measures]
        groups = [method.test(PREFIXES[self.kind] + name).mean for name in self.groups]
        seconds = method.seconds_per_epoch
        return [
            method.label,
            method.group_labels,
            listed(method.seeds),
            *(score.text for score in scores),
            *("-" if value is None else f"{100 * value:.1f}" for value in groups),
            "-" if seconds is None else f"{seconds:.1f}",
        ]


def compare(
    runs: Sequence[Path], *, ignore: Collection[str] = (), measures: Sequence[str] = ()
) -> Comparison:
    """Read finished runs, and group those whose settings and data differ only in the seed.

    The label of a method is the name of its recipe and strategy. If several methods share it, the
    name of the config is added, and if that is also shared, the settings that differ.

    Args:
        runs: run folders, or folders that contain runs at any depth.
        ignore: settings that do not change the result of a run, such as ``"workers"`` or
            ``"data.root"``.
        measures: additional columns, as "family:key", of measures by `debias evaluate`.

    Returns:
        The methods, best worst group (or class) first. Missing, unfinished and repeated runs are
        listed as left out.

    Raises:
        ValueError: no run has a value for one of ``measures``.
    """
    left_out: list[str] = []
    found: list[Report] = []
    for folder in dict.fromkeys(folder for path in runs for folder in run_folders(path)):
        try:
            found.append(read_summary(folder, measured=bool(measures)))
        except InputError as error:
            left_out.append(str(error))
    return comparison_of(found, left_out=left_out, ignore=ignore, measures=measures)


def read_summary(folder: Path, *, measured: bool = False) -> Report:
    """Read the record of a finished run, for tables and pages that show many runs.

    Entries that only the run's own page shows are left out, so that the records of thousands of
    runs fit into memory: of the history, only the worst accuracies on validation stay, and of the
    splits, only the test.

    Args:
        folder: the run's folder.
        measured: whether the measures stay, too.

    Raises:
        InputError: as :func:`read_report`, or the report has no test metrics.
    """
    report = read_report(folder)
    _ = report.test  # raises if there are no test metrics
    worst = [names[0] for names in SCALARS.values()]
    history = [
        Epoch(one.epoch, {key: one.val[key] for key in worst if key in one.val}, NOTHING)
        for one in report.history
    ]
    table = tuple(replace(row, val=NOTHING) for row in report.selection.table)
    return replace(
        report,
        entries={},
        curves={},
        measures=report.measures if measured else {},
        left_out={},
        metrics={"test": report.metrics["test"]},
        selection=replace(report.selection, table=table),
        history=tuple(history),
    )


def comparison_of(
    runs: Iterable[Report],
    *,
    left_out: Sequence[str] = (),
    ignore: Collection[str] = (),
    measures: Sequence[str] = (),
) -> Comparison:
    """Group runs whose settings and data differ only in the seed, as :func:`compare`.

    Args:
        runs: records of finished runs with test metrics.
        left_out: one line for each run that cannot be compared.
        ignore: as for :func:`compare`.
        measures: as for :func:`compare`.

    Raises:
        ValueError: no run has a value for one of ``measures``.
    """
    left_out = list(left_out)
    gathered: dict[str, list[Report]] = {}
    for run in runs:
        gathered.setdefault(identity(run, ignore), []).append(run)
    groups = [_seeds(same, left_out) for alike in gathered.values() for same in by_rows(alike)]
    names = labels([same[0] for same in groups], ignore)
    methods = [ComparedMethod(name, same) for name, same in zip(names, groups, strict=True)]
    _check_measures(methods, measures)
    return Comparison(tuple(sorted(methods, key=_rank)), tuple(left_out), tuple(measures))


def _seeds(runs: Sequence[Report], left_out: list[str]) -> tuple[Report, ...]:
    """Keep the first run of each seed, in rising order. The others are added to ``left_out``."""
    first: dict[int, Report] = {}
    for run in runs:
        earlier = first.setdefault(run.seed, run)
        if earlier is not run:
            left_out.append(f"{run.folder} repeats {earlier.folder}: same settings, same seed")
    return tuple(first[seed] for seed in sorted(first))


def _check_measures(methods: Sequence[ComparedMethod], measures: Sequence[str]) -> None:
    """Check that at least one run has a value for each of ``measures``.

    Raises:
        ValueError: no run has a value.
    """
    families = [_numbers(run).items() for method in methods for run in method.runs]
    available = {f"{family}:{key}" for run in families for family, values in run for key in values}
    for name in measures if methods else ():
        if name not in available:
            raise InputError(
                f"no run has the measure {name!r}. `debias evaluate RUN` computes the measures "
                "that the data allow" + (f"; {near(name, available)}" if available else "")
            )


def _title(measure: str) -> str:
    """Title of the column of a measure.

    Example:
        >>> _title("fairness:accuracy_ratio"), _title("fairness/gender:accuracy_ratio")
        ('accuracy_ratio', 'accuracy_ratio (gender)')
    """
    family, _, key = measure.partition(":")
    attribute = family.partition("/")[2]
    return f"{key} ({attribute})" if attribute else key


def _numbers(run: Report) -> Mapping[str, Scalars]:
    """The numbers of each family of measures, and the test accuracies as the family "accuracy"."""
    return {"accuracy": run.test.scalars, **run.measures}


def _rank(method: ComparedMethod) -> tuple[bool, float, str]:
    worst = method.worst.mean
    return (method.kind == "class", 1.0 if worst is None else -worst, method.label)
