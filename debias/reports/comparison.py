"""Many runs in one table: which method, which seeds, mean and spread of what counts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from debias.errors import InputError, near, printable
from debias.files import write_atomically
from debias.reports.classes import positive_notes
from debias.reports.record import Report, read_report
from debias.reports.run_labels import by_rows, differences, identity, labels, run_folders
from debias.reports.split import PREFIXES, SCALARS
from debias.reports.tables import Spread, listed, markdown_table, spread_of, text_table
from debias.reports.templates import render

#: More group columns than this would make the table unreadable; the groups are then left to the
#: runs' own reports.
GROUP_COLUMNS = 8


@dataclass(frozen=True)
class ComparedMethod:
    """The runs whose settings and data differ in nothing but the seed."""

    label: str
    runs: tuple[Report, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, in rising order."""
        return tuple(run.seed for run in self.runs)

    @property
    def group_labels(self) -> str:
        """On which splits group labels were read: "none", "val" or "train+val"."""
        return self.runs[0].strategy.group_labels

    @property
    def kind(self) -> str:
        """What its accuracies are listed by: "group", or "class" if no bias is known."""
        return self.runs[0].test.kind

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, or of the classes."""
        return tuple(cell.name for cell in self.runs[0].test.cells)

    @property
    def worst(self) -> Spread:
        """Test accuracy of the worst group, or class: what methods are ranked by."""
        return self.test(SCALARS[self.kind][0])

    def test(self, metric: str) -> Spread:
        """A scalar metric of the test split, over the seeds."""
        return spread_of([run.test.scalars.get(metric) for run in self.runs])

    def measure(self, name: str) -> Spread:
        """A measure of the test split over the seeds: "features:leakage/features", say."""
        family, _, key = name.partition(":")
        return spread_of([run.measures.get(family, {}).get(key) for run in self.runs])

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean over the seeds."""
        return spread_of([run.seconds.epoch for run in self.runs]).mean


@dataclass(frozen=True)
class Comparison:
    """Methods, best worst group (or class) first, what was left out, and measures' columns."""

    methods: tuple[ComparedMethod, ...]
    left_out: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What the table lists: each "group", or each "class" where no method has groups."""
        return "group" if any(method.kind == "group" for method in self.methods) else "class"

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group (or class) of some method's test; none if there are too many."""
        alike = [method for method in self.methods if method.kind == self.kind]
        names = tuple(dict.fromkeys(name for method in alike for name in method.groups))
        return names if len(names) <= GROUP_COLUMNS else ()

    @property
    def scores(self) -> tuple[str, ...]:
        """Scalars with a column each: the worst class only where a run was selected by it."""
        runs = [run for method in self.methods for run in method.runs]
        selected = any(run.selection.rule == "worst_class" for run in runs)
        return SCALARS[self.kind][: 4 if selected else 3]

    def header(self) -> list[str]:
        """Titles of the columns; percentages throughout, but for the last."""
        scores = [name.replace("_", " ") for name in self.scores]
        measures = [name.partition(":")[2] for name in self.measures]
        return ["method", "group labels", "seeds", *scores, *measures, *self.groups, "s/epoch"]

    def rows(self) -> list[list[str]]:
        """One row per method, as text; scores are mean ± standard deviation over seeds."""
        return [self._row(method) for method in self.methods]

    def notes(self) -> list[str]:
        """A line for each method whose runs differ beside settings; and the positive class."""
        told = [(method.label, differences(method.runs)) for method in self.methods]
        notes = [f"{label}: not the same for every seed: {text}" for label, text in told if text]
        reports = {method.label: method.runs for method in self.methods}
        return [*notes, *positive_notes(self.measures, reports)]

    def table(self, format: str = "text") -> str:
        """The table, and below it the notes and one line for each run that was left out.

        Args:
            format: "text" for a terminal, or "markdown".

        Raises:
            ValueError: another format.
        """
        tables = {"text": text_table, "markdown": markdown_table}
        if format not in tables:
            raise InputError(f"format {format!r} is unknown; valid: {', '.join(tables)}")
        lines = tables[format](self.header(), self.rows()) if self.methods else ["no finished run"]
        told = [*self.notes(), *(f"left out: {reason}" for reason in self.left_out)]
        notes = [f"{'- ' if format == 'markdown' else ''}{note}" for note in told]
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
    """Read finished runs and gather those whose settings and data differ in the seed only.

    A method is named by its strategy; where that is not enough, by the config it was started from;
    where that is not enough either, by the settings in which it differs.

    Args:
        runs: run folders, or folders with runs anywhere below them.
        ignore: settings that do not change what a run computes, such as ``"workers"`` or
            ``"data.root"``.
        measures: further columns, "family:key", of what `debias evaluate` has measured.

    Returns:
        The methods, best worst group (or class) first, with notes of what else is not the same for
        all runs of one; runs that are missing, unfinished or repeated are listed as left out.

    Raises:
        ValueError: a column that no run has a value for.
    """
    left_out: list[str] = []
    gathered: dict[str, list[Report]] = {}
    for folder in dict.fromkeys(folder for path in runs for folder in run_folders(path)):
        try:
            run = read_report(folder)
            _ = run.test  # raises where there are no test metrics
        except InputError as error:
            left_out.append(str(error))
            continue
        gathered.setdefault(identity(run, ignore), []).append(run)
    groups = [_seeds(same, left_out) for alike in gathered.values() for same in by_rows(alike)]
    names = labels([same[0] for same in groups], ignore)
    methods = [ComparedMethod(name, same) for name, same in zip(names, groups, strict=True)]
    _check_measures(methods, measures)
    return Comparison(tuple(sorted(methods, key=_rank)), tuple(left_out), tuple(measures))


def _seeds(runs: Sequence[Report], left_out: list[str]) -> tuple[Report, ...]:
    """The first run of each seed, in rising order; ``left_out`` names those that repeat one."""
    first: dict[int, Report] = {}
    for run in runs:
        earlier = first.setdefault(run.seed, run)
        if earlier is not run:
            left_out.append(f"{run.folder} repeats {earlier.folder}: same settings, same seed")
    return tuple(first[seed] for seed in sorted(first))


def _check_measures(methods: Sequence[ComparedMethod], measures: Sequence[str]) -> None:
    """Refuse a column that no run has a value for."""
    found = [run.measures.items() for method in methods for run in method.runs]
    known = {f"{family}:{key}" for run in found for family, values in run for key in values}
    for name in measures if methods else ():
        if name not in known:
            raise InputError(
                f"no run has measured {name!r}: `debias evaluate RUN` takes the measures that the "
                "data allows" + (f"; {near(name, known)}" if known else "")
            )


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write an overview page, with links to the runs' own pages relative to it."""
    context = {"comparison": comparison, "folder": path.parent.resolve()}
    write_atomically(path, render("comparison.html", context))


def _rank(method: ComparedMethod) -> tuple[bool, float, str]:
    worst = method.worst.mean
    return (method.kind == "class", 1.0 if worst is None else -worst, method.label)
