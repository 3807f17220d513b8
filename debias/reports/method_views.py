"""Views of several methods on one page: a heat map, bars side by side, and learning curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from debias.files import write_atomically
from debias.reports import charts
from debias.reports.charts import Chart
from debias.reports.comparison import ComparedMethod, Comparison
from debias.reports.record import Report
from debias.reports.split import PREFIXES, SCALARS
from debias.reports.tables import Spread
from debias.reports.templates import render
from debias.reports.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Largest numbers of columns of a heat map, of methods and groups with bars, and of drawn runs.
#: Those of the lowest accuracy (groups), or the best worst group (methods and runs) are shown.
MOST_COLUMNS = 24
MOST_METHODS = 8
MOST_BLOCKS = 8
MOST_CURVES = 240
#: Share of the warning colour in the darkest cell, in percent; above, text is hard to read.
STRONGEST = 55


class HeatCell(NamedTuple):
    """The mean test accuracy of one method on one group.

    Attributes:
        accuracy: the accuracy; ``None`` if the method has none for this group.
        shade: share of the warning colour in percent: 0 for the best cell of the map.
        worst: whether it is the lowest of its method.
    """

    accuracy: float | None
    shade: float
    worst: bool


class HeatMap(NamedTuple):
    """A table of methods by groups, with a colour for each accuracy.

    Attributes:
        groups: names of the shown groups.
        rows: name of each method, and its cells.
        lowest: the lowest accuracy of the map.
        highest: the highest accuracy of the map.
        total: number of all groups.
    """

    groups: list[str]
    rows: list[tuple[str, list[HeatCell]]]
    lowest: float
    highest: float
    total: int


class Block(NamedTuple):
    """The bars of several methods for one group or metric: number and spread of each method."""

    title: str
    bars: list[tuple[int, Spread]]


class MethodViews(NamedTuple):
    """All views of a comparison.

    Attributes:
        heat: the heat map; ``None`` if no group has an accuracy.
        names: names of the methods with bars.
        blocks: the bars, first of the worst group and the average.
        curves: the learning curves; ``None`` if no run has an epoch.
        runs: number of runs with epochs. At most ``MOST_CURVES`` are drawn.
    """

    heat: HeatMap | None
    names: list[str]
    blocks: list[Block]
    curves: Chart | None
    runs: int

    @property
    def drawn(self) -> int:
        """Number of runs with a learning curve."""
        return min(self.runs, MOST_CURVES)


def method_views(comparison: Comparison, name: str) -> MethodViews:
    """Make the views of a comparison.

    Args:
        comparison: the methods, best worst group first.
        name: prefix of the ids in the drawing, unique on the page.
    """
    kind = comparison.kind
    alike = [method for method in comparison.methods if method.kind == kind]
    shown = alike[:MOST_METHODS]
    names = [method.label for method in shown]
    heat, curves = heat_map(alike, kind), learning_curves(comparison.methods, name)
    runs = sum(bool(run.history) for method in comparison.methods for run in method.runs)
    return MethodViews(heat, names, _blocks(shown, kind), curves, runs)


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the HTML page of a comparison. Its links to the runs' pages are relative to it."""
    views = method_views(comparison, "curves")
    context = {"comparison": comparison, "views": views, "folder": path.parent.resolve()}
    write_atomically(path, render("comparison.html", context))


def heat_map(methods: Sequence[ComparedMethod], kind: str) -> HeatMap | None:
    """Make the heat map of methods by groups, over at most ``MOST_COLUMNS`` groups.

    Args:
        methods: the methods, in the order of the rows.
        kind: "group" or "class", the kind of their accuracies.
    """
    groups = list(dict.fromkeys(group for method in methods for group in method.groups))
    means = [[method.test(PREFIXES[kind] + group).mean for group in groups] for method in methods]
    defined = [mean for row in means for mean in row if mean is not None]
    if not defined:
        return None
    lowest, highest = min(defined), max(defined)
    spread = (highest - lowest) or 1.0
    places = _least_accurate(means, MOST_COLUMNS)
    rows = []
    for method, row in zip(methods, means, strict=True):
        worst = min((mean for mean in row if mean is not None), default=None)
        cells = [
            HeatCell(
                row[place],
                0.0 if (mean := row[place]) is None else STRONGEST * (highest - mean) / spread,
                row[place] is not None and row[place] == worst,
            )
            for place in places
        ]
        rows.append((method.label, cells))
    return HeatMap([groups[place] for place in places], rows, lowest, highest, len(groups))


def learning_curves(methods: Sequence[ComparedMethod], name: str) -> Chart | None:
    """Draw the validation accuracy of the worst group over the epochs, one line per run.

    A mark on each line is the selected epoch. Runs of one method have one colour and marker. At
    most ``MOST_CURVES`` runs are drawn, those of the best methods.
    """
    curves = [
        (number, run, _validation(run))
        for number, method in enumerate(methods)
        for run in method.runs
        if run.history
    ][:MOST_CURVES]
    if not curves:
        return None

    def paint(axes: Axes) -> None:
        """Draw the line of each run, and its mark."""
        for number, run, values in curves:
            epochs = [epoch.epoch for epoch in run.history]
            charts.add_run(axes, epochs, values, number, run.selection.epoch)
        charts.frame(axes, "epoch", share=True)
        charts.whole_epochs(axes)

    drawn = dict.fromkeys(number for number, _, _ in curves)
    words = [
        f"{methods[number].label}: {', '.join(_ends([c for c in curves if c[0] == number]))}"
        for number in list(drawn)[:MOST_METHODS]
    ]
    legend = [(number, methods[number].label) for number in drawn]
    drawing = charts.drawing(name, paint, size=(5.6, 3.2))
    return Chart("Learning curves", "; ".join(words), drawing, legend)


def _blocks(methods: Sequence[ComparedMethod], kind: str) -> list[Block]:
    groups = list(dict.fromkeys(group for method in methods for group in method.groups))
    scores = [[method.test(PREFIXES[kind] + group) for group in groups] for method in methods]
    places = _least_accurate([[score.mean for score in row] for row in scores], MOST_BLOCKS)
    first = {
        f"Worst {kind}": [method.worst for method in methods],
        "Average": [method.test("average") for method in methods],
    }
    every = first | {groups[place]: [row[place] for row in scores] for place in places}
    return [Block(title, list(enumerate(own))) for title, own in every.items()]


def _least_accurate(means: Sequence[Sequence[float | None]], most: int) -> list[int]:
    """Places of the ``most`` columns with the lowest accuracy of any row, in their order."""
    lowest = [
        min((value for value in column if value is not None), default=2.0)
        for column in zip(*means, strict=True)
    ]
    return sorted(sorted(range(len(lowest)), key=lowest.__getitem__)[:most])


def _validation(run: Report) -> list[float | None]:
    """The worst group of each epoch on validation, or the worst class if there are no groups."""
    by_kind = [[epoch.val.get(SCALARS[kind][0]) for epoch in run.history] for kind in SCALARS]
    return next((values for values in by_kind if any(v is not None for v in values)), by_kind[0])


def _ends(curves: Sequence[tuple[int, Report, list[float | None]]]) -> Iterator[str]:
    """Describe runs in words: the seed, the selected epoch, and the accuracy there."""
    for _, run, values in curves:
        epochs = [epoch.epoch for epoch in run.history]
        chosen = run.selection.epoch
        value = values[epochs.index(chosen)] if chosen in epochs else None
        yield f"seed {run.seed} selected epoch {chosen} with {percent(value)} %"
