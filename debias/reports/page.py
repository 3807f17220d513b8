"""report.html: one self-contained page per run, for somebody who wants to know how it went and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias.reports import charts, sections, wording
from debias.reports.charts import Line
from debias.reports.files import write_atomically
from debias.reports.templates import render
from debias.reports.wording import percent

if TYPE_CHECKING:
    from debias.reports.mistakes import Mistake, Pictures
    from debias.reports.predictions import Predictions

Report = Mapping[str, Any]

#: How many mistakes the grid shows, and how many groups a chart: more could not be told apart.
MISTAKES = 12
LINES = 8


def write_page(path: Path, report: Report, predictions: Predictions | None, pictures: Pictures | None) -> None:
    """Write the page of a run; see :func:`render_report`."""
    write_atomically(path, render_report(report, predictions, pictures))


def render_report(report: Report, predictions: Predictions | None = None, pictures: Pictures | None = None) -> str:
    """HTML of the page of a run; it needs no other file and no network.

    Args:
        report: the record, as ``read_report`` returns it.
        predictions: of the test split.
        pictures: gives the picture and mask of a data set row; without it, or without ``predictions``, there is no
            grid of mistakes. A picture that cannot be read leaves its caption.
    """
    context = {
        "report": report,
        "verdict": wording.verdict(report),
        "bars": group_bars(report),
        "charts": _charts(report),
        "mistakes": _mistakes(report, predictions, pictures),
        "mistakes_intro": wording.mistakes_intro(report),
        "selection": sections.selection(report),
        "metrics": sections.metrics(report),
        "data": sections.data(report),
        "facts": sections.facts(report),
        "settings": sections.settings(report["config"]),
    }
    return render("page.html", context)


def group_bars(report: Report) -> list[dict[str, Any]]:
    """Test accuracy of each group with its interval, and whether it is the worst."""
    groups = report["metrics"]["test"]["groups"]
    worst = wording.worst_group(groups)
    return [{**group, "number": number, "worst": group is worst} for number, group in enumerate(groups)]


def _charts(report: Report) -> list[dict[str, Any]]:
    history, names = report["history"], report["data"]["groups"]
    if not history:
        return []
    epochs, chosen = [epoch["epoch"] for epoch in history], report["selection"]["epoch"]
    kept = _most_telling(report)
    accuracy = [Line([epoch["val"].get(f"accuracy/{names[group]}") for epoch in history], group) for group in kept]
    average = Line([epoch["val"].get("average") for epoch in history], dashed=True)
    figures = [("Validation accuracy", [average, *accuracy], True)]
    figures.append(("Training loss", [Line([epoch["train"].get("loss") for epoch in history])], False))
    for family, lines in charts.families(history, names).items():
        figures.append((f"Training: {family.replace('_', ' ')}", [line for line in lines if line.group in kept], False))
    return [
        {
            "title": title,
            "summary": _summary(lines, names, share),
            "svg": charts.draw(f"chart{number}", epochs, lines, chosen=chosen, share=share),
            "groups": [(line.group, names[line.group]) for line in lines if line.group >= 0],
            "average": share,
        }
        for number, (title, lines, share) in enumerate(figures)
    ]


def _most_telling(report: Report) -> list[int]:
    """The groups that the charts show: all, or the ones with the lowest test accuracy, in the order of numbers."""
    groups = report["metrics"]["test"]["groups"]
    order = sorted(range(len(groups)), key=lambda i: 2.0 if groups[i]["accuracy"] is None else groups[i]["accuracy"])
    return sorted(order[:LINES])


def _summary(lines: Sequence[Line], names: Sequence[str], share: bool) -> str:
    """A chart in words: first and last value of each line."""

    def word(value: float | None) -> str:
        return "undefined" if value is None else f"{percent(value)} %" if share else f"{value:.3g}"

    def title(line: Line) -> str:
        return names[line.group] if line.group >= 0 else "all images"

    return "; ".join(f"{title(line)}: from {word(line.values[0])} to {word(line.values[-1])}" for line in lines)


def _mistakes(
    report: Report, predictions: Predictions | None, pictures: Pictures | None
) -> list[tuple[Mistake, str | None]] | None:
    worst = next((bar["number"] for bar in group_bars(report) if bar["worst"]), None)
    if predictions is None or pictures is None or worst is None:
        return None
    from debias.reports.mistakes import confident_mistakes
    from debias.reports.run_folder import groups_of

    found = confident_mistakes(predictions, groups_of(report), worst, most=MISTAKES)
    return [(mistake, _picture(mistake, pictures)) for mistake in found]


def _picture(mistake: Mistake, pictures: Pictures) -> str | None:
    from debias.reports.mistakes import thumbnail

    try:
        return thumbnail(*pictures(mistake.index))
    except (OSError, ValueError):
        return None
