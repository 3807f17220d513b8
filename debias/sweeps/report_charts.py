"""Charts of a sweep: average accuracy against the gap to the worst group, and varied settings."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from debias.reports import charts
from debias.reports.charts import Chart
from debias.reports.comparison import ComparedMethod
from debias.reports.privacy import without_places
from debias.reports.record import Report
from debias.reports.sections import settings
from debias.reports.wording import percent
from debias.sweeps.report import Results
from debias.sweeps.report_trials import front_charts
from debias.sweeps.search.fronts import undominated

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The mean score for each value of a setting.
Scores = dict[Any, float]
#: The axis is logarithmic if the greatest value is at least this many times the least.
LOGARITHMIC = 10


def sweep_charts(results: Results, ignore: Collection[str]) -> list[Chart]:
    """Draw the trials of a search; for every data set the trade-off of its methods and settings."""
    drawn = front_charts(results.trials)
    for number, (dataset, comparison) in enumerate(results.comparisons.items()):
        suffix = f", {dataset}" if len(results.comparisons) > 1 else ""
        drawn += _trade_off(f"trade{number}", f"Average and gap{suffix}", comparison.methods)
        reports = [run for method in comparison.methods for run in method.runs]
        for place, (key, lines) in enumerate(sensitivity(reports, ignore).items()):
            drawn.append(_sensitivity(f"setting{number}-{place}", f"{key}{suffix}", lines))
    return drawn


def sensitivity(reports: Sequence[Report], ignore: Collection[str]) -> dict[str, dict[str, Scores]]:
    """Average the validation score for each value of a setting that varies within a config.

    The score of a run is the validation metric of its own selection rule, at the selected epoch.
    The test split is not used, so that settings can be chosen by these scores. The mean is over all
    runs with the same value and rule, even if other settings vary too.

    Args:
        reports: records of runs on one data set.
        ignore: settings that do not change the result of a run.

    Returns:
        ``{setting: {config: {value: mean}}}``. Numeric values are in rising order. If the runs have
        several selection rules, each rule of a config has an entry, as "erm (average)".
    """
    scores: dict[str, dict[str, dict[Any, list[float]]]] = {}
    for name, key, value, score in _settings(reports, {"seed", "name", *ignore}):
        scores.setdefault(key, {}).setdefault(name, {}).setdefault(value, []).append(score)
    varied = {
        key: {name: _means(values) for name, values in lines.items() if len(values) > 1}
        for key, lines in scores.items()
    }
    return {key: lines for key, lines in varied.items() if lines}


def _means(scores: Mapping[Any, Sequence[float]]) -> Scores:
    return {value: statistics.fmean(scores[value]) for value in _ordered(scores)}


def _settings(
    reports: Sequence[Report], hidden: Collection[str]
) -> Iterator[tuple[str, str, Any, float]]:
    rules = {report.selection.rule for report in reports}
    for report in reports:
        score, rule = report.selection.chosen.value, report.selection.rule
        name = str(report.config["name"]) + (f" ({rule})" if len(rules) > 1 else "")
        for key, value in settings(report.config).items():
            if score is not None and key not in hidden and key.partition(".")[0] not in hidden:
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                shown = value if number else without_places(str(value))
                yield name, key, shown, score


def _ordered(values: Collection[Any]) -> list[Any]:
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def _trade_off(name: str, title: str, methods: Sequence[ComparedMethod]) -> list[Chart]:
    scored = [(method.label, method.test("average").mean, method.worst.mean) for method in methods]
    defined = [
        (name, mean, mean - worst)
        for name, mean, worst in scored
        if mean is not None and worst is not None
    ]
    if not defined:
        return []
    points = [(average, gap) for _, average, gap in defined]
    front = undominated([(average, -gap) for average, gap in points])
    front.sort(key=lambda place: points[place])
    drawing = charts.drawing(name, partial(_paint_trade_off, points=points, front=front))
    words = [
        f"{label}: average {percent(average)} %, gap {percent(gap)} "
        f"points{', on the front' * (place in front)}"
        for place, (label, average, gap) in enumerate(defined)
    ]
    labels = list(enumerate(label for label, _, _ in defined))
    return [Chart(title, "; ".join(words), drawing, labels)]


def _paint_trade_off(
    axes: Axes, points: Sequence[tuple[float, float]], front: Sequence[int]
) -> None:
    """Draw average accuracy against the gap: a mark per method, a line along the Pareto front."""
    quiet = charts.COLOURS["quiet"][0]
    axes.plot(*zip(*(points[place] for place in front), strict=True), color=quiet, linewidth=1)
    for place, (average, gap) in enumerate(points):
        charts.add_line(axes, [average], charts.Line([gap], place))
    charts.frame(axes, "average accuracy; upwards the gap", share=True, both=True)
    averages, gaps = zip(*points, strict=True)
    axes.set_ylim(-0.02, max(gaps) + 0.05)
    axes.set_xlim(min(averages) - 0.03, max(averages) + 0.03)


def _sensitivity(name: str, title: str, lines: Mapping[str, Scores]) -> Chart:
    values = _ordered({value for line in lines.values() for value in line})
    numbers = all(not isinstance(value, str) for value in values)
    places = {value: float(value if numbers else place) for place, value in enumerate(values, 1)}

    def paint(axes: Axes) -> None:
        """Draw one line per config."""
        for number, line in enumerate(lines.values()):
            scores = charts.Line(list(line.values()), number)
            charts.add_line(axes, [places[value] for value in line], scores)
        charts.frame(axes, "value" if numbers else "number of the value", share=True)
        if numbers and min(values) > 0 and max(values) >= LOGARITHMIC * min(values):
            axes.set_xscale("log")
        elif not numbers:
            axes.set_xticks(list(places.values()))

    listed = ", ".join(f"{place:.0f} {value}" for value, place in places.items())
    named = "" if numbers else f"values: {listed}; "
    words = (
        f"{config}: " + ", ".join(f"{value} {percent(score)} %" for value, score in line.items())
        for config, line in lines.items()
    )
    drawing = charts.drawing(name, paint)
    return Chart(title, named + "; ".join(words), drawing, list(enumerate(lines)))
