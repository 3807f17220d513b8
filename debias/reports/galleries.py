"""The pictures of a run's page: mistakes, what the model is given, and where it looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from debias.errors import InputError
from debias.reports import wording
from debias.reports.mistakes import confident_mistakes, first_rows, right_and_wrong, thumbnail
from debias.reports.run_folder import groups_of
from debias.reports.sections import shown_groups

if TYPE_CHECKING:
    from debias.reports.mistakes import Mistake, Overlays, Pictures, Prepared
    from debias.reports.predictions import Predictions

Report = Mapping[str, Any]

#: How many mistakes the grid shows, and how many prepared images of a group.
MISTAKES = 12
PREPARED = 2


def mistakes(
    report: Report, predictions: Predictions | None, pictures: Pictures | None
) -> list[tuple[Mistake, str | None]] | None:
    """The worst group's most confident mistakes and their pictures; ``None`` where there is nothing to show them by."""
    groups = report["metrics"]["test"]["groups"]
    worst = wording.worst_group(groups)
    if predictions is None or pictures is None or worst is None:
        return None
    found = confident_mistakes(predictions, groups_of(report), groups.index(worst), most=MISTAKES)
    return [(mistake, _picture(mistake, pictures)) for mistake in found]


def prepared_images(
    report: Report, predictions: Predictions | None, prepared: Prepared | None
) -> list[tuple[int, str, str]] | None:
    """Number and name of a group, and a picture of it, for a few images of each group that the charts show."""
    if predictions is None or prepared is None:
        return None
    found = []
    for number in shown_groups(report):
        for row in first_rows(predictions, groups_of(report), number, most=PREPARED):
            strip = prepared(row)
            if strip is None:
                return None
            found.append((number, report["data"]["groups"][number], thumbnail(strip, None, side=480)))
    return found


def attention(report: Report, predictions: Predictions | None, overlays: Overlays | None) -> list[dict[str, Any]]:
    """Where the model looks in two images of each group that the charts show, one right and one wrong if there are."""
    if predictions is None or overlays is None:
        return []
    groups, found = groups_of(report), []
    for number in shown_groups(report):
        for decision in right_and_wrong(predictions, groups, number):
            picture = overlays(decision.row)
            if picture is not None:
                shown = {"number": number, "group": groups.names[number], "picture": thumbnail(picture, None)}
                found.append({**decision._asdict(), **shown})
    return found


def _picture(mistake: Mistake, pictures: Pictures) -> str | None:
    try:
        return thumbnail(*pictures(mistake.index))
    except (OSError, InputError):
        return None
