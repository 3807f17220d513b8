"""Make ``report.html``, the self-contained page of a run, from its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from debias.metrics.descriptions import DESCRIPTIONS
from debias.metrics.selection import LAST, RULES
from debias.reports import charts, galleries, measure_charts, measures, sections, wording
from debias.reports.charts import Chart, Line
from debias.reports.galleries import Views
from debias.reports.record import ACCURACIES, Epoch, Report
from debias.reports.split import PLURALS, PREFIXES, SCALARS
from debias.reports.templates import render
from debias.reports.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def render_report(report: Report, views: Views | None = None) -> str:
    """Write the HTML page of a run. It needs no other file and no network.

    Args:
        report: the record of the run.
        views: the predictions of the test split, and functions that return pictures. The page has
            no section for a function that is ``None``.
    """
    context = {
        "report": report,
        "test": report.test,
        "plural": PLURALS[report.test.kind],
        "headline": SCALARS[report.test.kind][:3],
        "verdict": wording.verdict(report),
        "listed": sections.listed_groups(report.test),
        "listed_groups": sections.listed_groups,
        "others": sections.other_groups(report.test),
        "accuracies": ACCURACIES,
        "charts": _charts(report),
        "charted": (len(_names(report)), PLURALS[report.val.kind]),
        "mistakes": galleries.mistakes(report, views),
        "prepared": galleries.prepared_images(report, views),
        "attention": galleries.attention(report, views),
        "rules": wording.RULES,
        "criteria": {rule: scalar for rule, scalar in RULES.items() if rule != LAST},
        "descriptions": DESCRIPTIONS,
        "families": measures.families(report),
        "left_out": measures.left_out(report),
        "drawings": measure_charts.drawings(report.curves),
        "data": sections.data(report),
        "choice": wording.choice_line(report.choice) if report.choice else "",
        "settings": sections.settings(report.config),
    }
    return render("page.html", context)


def _charts(report: Report) -> list[Chart]:
    if not report.history:
        return []
    kind = report.val.kind
    numbers = report.test.shown() if kind == report.test.kind else report.val.shown()
    names = _names(report)
    keys = {number: PREFIXES[kind] + names[number] for number in numbers}
    # of very many groups, the history has no accuracy
    if not any(key.startswith(PREFIXES[kind]) for epoch in report.history for key in epoch.val):
        keys = {}
    return [
        _chart(report, f"chart{number}", *figure)
        for number, figure in enumerate(_figures(report.history, keys, names))
    ]


def _names(report: Report) -> list[str]:
    """Names of the groups or classes that the charts over the epochs can show."""
    return report.data.groups if report.val.kind == "group" else report.data.targets


def _chart(report: Report, name: str, title: str, lines: Sequence[Line], share: bool) -> Chart:
    epochs, names = [epoch.epoch for epoch in report.history], _names(report)

    def paint(axes: Axes) -> None:
        """Draw the lines, the frame, and a mark at the selected epoch."""
        for line in lines:
            charts.add_line(axes, epochs, line)
        charts.frame(axes, "epoch", share=share)
        charts.mark_epochs(axes, epochs, report.selection.epoch)

    legend = [(line.group, names[line.group]) for line in lines if line.group >= 0]
    return Chart(title, _summary(lines, names, share), charts.drawing(name, paint), legend)


def _figures(
    history: Sequence[Epoch], keys: Mapping[int, str], names: Sequence[str]
) -> list[tuple[str, list[Line], bool]]:
    """List the title and lines of each chart over the epochs, and whether values are fractions."""
    accuracy = [
        Line([epoch.val.get(key) for epoch in history], number) for number, key in keys.items()
    ]
    average = Line([epoch.val.get("average") for epoch in history], dashed=True)
    loss = Line([epoch.train.get("loss") for epoch in history])
    figures = [
        ("Validation accuracy", [average, *accuracy], True),
        ("Training loss", [loss], False),
    ]
    for family, lines in charts.families(history, names).items():
        drawn = [line for line in lines if line.group in keys]
        figures.append((f"Training: {family.replace('_', ' ')}", drawn, False))
    return figures


def _summary(lines: Sequence[Line], names: Sequence[str], share: bool) -> str:
    """Describe a chart in words: the first and last value of each line."""

    def word(value: float | None) -> str:
        """Format a value: as a percentage, or with three digits."""
        return "undefined" if value is None else f"{percent(value)} %" if share else f"{value:.3g}"

    def title(line: Line) -> str:
        """Name of the line's group, or "all images"."""
        return names[line.group] if line.group >= 0 else "all images"

    return "; ".join(
        f"{title(line)}: from {word(line.values[0])} to {word(line.values[-1])}" for line in lines
    )
