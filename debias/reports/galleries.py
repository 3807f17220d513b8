"""The pictures of a run's page: mistakes, what the model is given, and where it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from debias.errors import InputError
from debias.reports import wording
from debias.reports.cells import cells, kind_of
from debias.reports.mistakes import confident_mistakes, first_rows, right_and_wrong, thumbnail
from debias.reports.run_folder import groups_of
from debias.reports.sections import shown_groups

if TYPE_CHECKING:
    from debias.reports.mistakes import Mistake, Overlays, Pictures, Prepared
    from debias.reports.predictions import Predictions
    from debias.types import Groups

Report = Mapping[str, Any]

#: How many mistakes the grid shows, and how many prepared images of a group.
MISTAKES = 12
PREPARED = 2


def mistakes(
    report: Report, predictions: Predictions | None, pictures: Pictures | None
) -> list[tuple[Mistake, str | None]] | None:
    """The worst group's most confident mistakes and their pictures; ``None`` where there is nothing
    to show them by.
    """
    groups = cells(report["metrics"]["test"])
    worst = wording.worst_group(groups)
    if predictions is None or pictures is None or worst is None:
        return None
    found = confident_mistakes(*_by_cell(report, predictions), groups.index(worst), most=MISTAKES)
    return [(mistake, _picture(mistake, pictures)) for mistake in found]


def prepared_images(
    report: Report, predictions: Predictions | None, prepared: Prepared | None
) -> list[tuple[int, str, str]] | None:
    """Number and name of a group, and a picture of it, for a few images of shown groups."""
    if predictions is None or prepared is None:
        return None
    found, names = [], [cell["name"] for cell in cells(report["metrics"]["test"])]
    for number in shown_groups(report):
        for row in first_rows(*_by_cell(report, predictions), number, most=PREPARED):
            strip = prepared(row)
            if strip is None:
                return None
            found.append((number, names[number], thumbnail(strip, None, side=480)))
    return found


def attention(
    report: Report, predictions: Predictions | None, overlays: Overlays | None
) -> list[dict[str, Any]]:
    """Where the model looks in two images of each group that the charts show, one right and one
    wrong if there are.
    """
    if predictions is None or overlays is None:
        return []
    found, names = [], [cell["name"] for cell in cells(report["metrics"]["test"])]
    for number in shown_groups(report):
        for decision in right_and_wrong(*_by_cell(report, predictions), number):
            picture = overlays(decision.row)
            if picture is not None:
                shown = {
                    "number": number,
                    "group": names[number],
                    "picture": thumbnail(picture, None),
                }
                found.append({**decision._asdict(), **shown})
    return found


def _by_cell(report: Report, predictions: Predictions) -> tuple[Predictions, Groups]:
    """Predictions and groups; the groups are the classes where no image has a known bias."""
    groups = groups_of(report)
    if kind_of(report["metrics"]["test"]) == "group":
        return predictions, groups
    return replace(predictions, bias=predictions.bias.clamp(min=0)), groups.classes


def _picture(mistake: Mistake, pictures: Pictures) -> str | None:
    try:
        return thumbnail(*pictures(mistake.index))
    except (OSError, InputError):
        return None
