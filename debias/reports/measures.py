"""The families of measures on a run's page: a row per number, and compact tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from debias.metrics.families import FAMILIES, OF_POSITIVE, headlines, pattern_of, place_of, reading
from debias.reports.classes import positive_of

Report = Mapping[str, Any]
Scalars = Mapping[str, float | None]

#: A longer table is left to report.json.
MOST_ROWS = 40
#: So many families are open when the page is.
OPEN = 3
#: Beside its headlines, a family of more rows than these shows them once they are asked for.
MOST_PLAIN = 6


def families(report: Report) -> list[dict[str, Any]]:
    """Every family that was measured: its text, its rows and tables, and how many tables were too
    long to show.

    ``rows`` are the headlines where there are many more numbers, which are then ``more``; otherwise
    all of them.
    """
    positive = positive_of(report)
    measured = [(name, scalars) for name, scalars in report.get("measures", {}).items() if scalars]
    return [
        {
            "name": name,
            "open": place < OPEN,
            "positive": positive if name in OF_POSITIVE else None,
            **_text(name),
            **_rows(name, scalars),
            **_shown(name, scalars),
        }
        for place, (name, scalars) in enumerate(measured)
    ]


def left_out(report: Report) -> list[dict[str, str]]:
    """The families that were not measured, and why."""
    reasons = report.get("left_out", {}).items()
    return [
        {"title": _text(name)["title"], "reason": reason.strip().rstrip(".")}
        for name, reason in reasons
    ]


def _text(family: str) -> dict[str, str]:
    if family not in FAMILIES:
        return {"title": family, "meaning": ""}
    return {"title": FAMILIES[family].title, "meaning": FAMILIES[family].meaning}


def _rows(family: str, scalars: Scalars) -> dict[str, Any]:
    every = _every_row(family, scalars)
    first = [row for row in every if row["key"] in headlines(family, scalars)]
    if not first or len(every) - len(first) <= MOST_PLAIN:
        return {"rows": every, "more": []}
    return {"rows": first, "more": [row for row in every if row not in first]}


def _every_row(family: str, scalars: Scalars) -> list[dict[str, Any]]:
    """A row for each number that is not one of many; without a text, under its key."""
    rows = []
    for key, value in scalars.items():
        found = reading(family, key)
        if found is None:
            rows.append(
                {"key": key, "title": key, "value": value, "ideal": "", "better": "", "how": ""}
            )
        elif "<" not in str(pattern_of(family, key)):
            ideal = "–" if math.isnan(found.ideal) else f"{found.ideal:g}"
            better = f"{found.better} is better" if found.better else "–"
            row = {"key": key, "title": found.title, "value": value}
            rows.append({**row, "ideal": ideal, "better": better, "how": found.meaning})
    return rows


def _shown(family: str, scalars: Scalars) -> dict[str, Any]:
    tables = [_table(family, kind, cells) for kind, cells in _cells(family, scalars).items()]
    short = [table for table in tables if len(table["rows"]) <= MOST_ROWS]
    return {"tables": short, "long": len(tables) - len(short)}


def _cells(family: str, scalars: Scalars) -> dict[str, dict[str, dict[str, float | None]]]:
    """Numbers by what they are of ("<bias>", "<group>", ...), pattern and place."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for key, value in scalars.items():
        pattern = pattern_of(family, key)
        if pattern is not None and "<" in pattern:
            kind = pattern[pattern.index("<") : pattern.rindex(">") + 1]
            found.setdefault(kind, {}).setdefault(pattern, {})[str(place_of(pattern, key))] = value
    return found


def _table(
    family: str, kind: str, cells: Mapping[str, Mapping[str, float | None]]
) -> dict[str, Any]:
    """A table of some patterns' numbers, the fewer kind across; a cell may be empty."""
    texts = {pattern: FAMILIES[family].numbers[pattern] for pattern in cells}
    places = [
        (place, "")
        for place in dict.fromkeys(place for values in cells.values() for place in values)
    ]
    patterns = [(_short(text.title), text.meaning) for text in texts.values()]
    grid = [[values.get(place, math.nan) for values in cells.values()] for place, _ in places]
    name = kind.replace("><", "> <").replace("|", " | ").replace("<", "").replace(">", "")
    table = {
        "name": name,
        "corner": name,
        "columns": patterns,
        "rows": list(zip(places, grid, strict=True)),
    }
    if len(places) < len(patterns):
        turned = zip(patterns, map(list, zip(*grid, strict=True)), strict=True)
        table |= {"corner": "measure", "columns": places, "rows": list(turned)}
    return table


def _short(title: str) -> str:
    return title.removesuffix(" of a value of the bias").removesuffix(" of a group")
