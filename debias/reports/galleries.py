"""The pictures of a run's page: mistakes, what the model is given, and where it looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from debias.errors import InputError
from debias.reports.mistakes import confident_mistakes, first_rows, right_and_wrong, thumbnail
from debias.reports.record import Report

if TYPE_CHECKING:
    from debias.reports.mistakes import Decision, Mistake, Overlays, Pictures, Prepared
    from debias.reports.predictions import Predictions
    from debias.types import Groups

#: How many mistakes the grid shows, and how many prepared images of a group.
MISTAKES = 12
PREPARED = 2


def mistakes(
    report: Report, predictions: Predictions | None, pictures: Pictures | None
) -> list[tuple[Mistake, str | None]] | None:
    """The worst group's most confident mistakes and their pictures; ``None`` where there is nothing
    to show them by.
    """
    worst = report.test.worst
    if predictions is None or pictures is None or worst is None:
        return None
    number = report.test.cells.index(worst)
    found = confident_mistakes(*_by_cell(report, predictions), number, most=MISTAKES)
    return [(mistake, _picture(mistake, pictures)) for mistake in found]


def prepared_images(
    report: Report, predictions: Predictions | None, prepared: Prepared | None
) -> list[tuple[int, str, str]] | None:
    """Number and name of a group, and a picture of it, for a few images of shown groups."""
    if predictions is None or prepared is None:
        return None
    found = []
    for number in report.test.shown():
        for row in first_rows(*_by_cell(report, predictions), number, most=PREPARED):
            strip = prepared(row)
            if strip is None:
                return None
            name = report.test.cells[number].name
            found.append((number, name, thumbnail(strip, None, side=480)))
    return found


def attention(
    report: Report, predictions: Predictions | None, overlays: Overlays | None
) -> list[tuple[int, str, Decision, str]]:
    """Number and name of a group, a decision, and a picture of where the model looks.

    Two images of each group that the charts show, one right and one wrong if there are.
    """
    if predictions is None or overlays is None:
        return []
    found = []
    for number in report.test.shown():
        for decision in right_and_wrong(*_by_cell(report, predictions), number):
            picture = overlays(decision.row)
            if picture is not None:
                name = report.test.cells[number].name
                found.append((number, name, decision, thumbnail(picture, None)))
    return found


def _by_cell(report: Report, predictions: Predictions) -> tuple[Predictions, Groups]:
    """Predictions and groups; the groups are the classes where no image has a known bias."""
    if report.test.kind == "group":
        return predictions, report.groups
    return replace(predictions, bias=predictions.bias.clamp(min=0)), report.groups.classes


def _picture(mistake: Mistake, pictures: Pictures) -> str | None:
    try:
        return thumbnail(*pictures(mistake.index))
    except (OSError, InputError):
        return None
