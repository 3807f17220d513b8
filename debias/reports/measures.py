"""The families of measures on a run's page: a row per number, and compact tables."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from debias.metrics.descriptions import Description
from debias.metrics.families import FAMILIES, OF_POSITIVE, headlines, pattern_of, place_of, reading
from debias.reports.record import Report
from debias.reports.split import Scalars

#: A longer table is left to report.json.
MOST_ROWS = 40
#: So many families are open when the page is.
OPEN = 3
#: Beside its headlines, a family of more rows than these shows them once they are asked for.
MOST_PLAIN = 6

#: The title of a row or column, and a hint.
Title = tuple[str, str]


class Number(NamedTuple):
    """A number by its key, the pattern that the key fits, the place in it, and how to read it."""

    key: str
    value: float | None
    pattern: str
    place: str
    text: Description | None


class MeasureTable(NamedTuple):
    """Numbers by place ("bias", "group", ...) and measure; NaN is an empty cell."""

    name: str
    corner: str
    columns: Sequence[Title]
    rows: Sequence[tuple[Title, Sequence[float | None]]]


class MeasuredFamily(NamedTuple):
    """What the page shows of a family that was measured.

    Attributes:
        positive: the positive class, where the family depends on it.
        rows: the headlines where there are many more numbers, otherwise all of them.
        more: the other numbers.
        long: how many tables are too long to show.
    """

    name: str
    title: str
    meaning: str
    open: bool
    positive: str | None
    rows: list[Number]
    more: list[Number]
    tables: list[MeasureTable]
    long: int


def families(report: Report) -> list[MeasuredFamily]:
    """Every family that was measured."""
    measured = [(name, scalars) for name, scalars in report.measures.items() if scalars]
    return [
        _family(name, scalars, report.positive_class, place < OPEN)
        for place, (name, scalars) in enumerate(measured)
    ]


def left_out(report: Report) -> list[tuple[str, str]]:
    """Title of each family that was not measured, and the reason."""
    return [
        (_title(name)[0], reason.strip().rstrip(".")) for name, reason in report.left_out.items()
    ]


def _family(name: str, scalars: Scalars, positive: str | None, open: bool) -> MeasuredFamily:
    numbers = _numbers(name, scalars)
    rows = [number for number in numbers if "<" not in number.pattern]
    first = [row for row in rows if row.key in headlines(name, scalars)]
    if not first or len(rows) - len(first) <= MOST_PLAIN:
        first = rows
    more = [row for row in rows if row not in first]
    tables = _tables([number for number in numbers if "<" in number.pattern])
    short = [table for table in tables if len(table.rows) <= MOST_ROWS]
    positive = positive if name in OF_POSITIVE else None
    long = len(tables) - len(short)
    return MeasuredFamily(name, *_title(name), open, positive, first, more, short, long)


def _title(family: str) -> Title:
    known = FAMILIES.get(family)
    return (known.title, known.meaning) if known else (family, "")


def _numbers(family: str, scalars: Scalars) -> list[Number]:
    """Each number with the pattern that its key fits, its place in that, and its text."""
    found = []
    for key, value in scalars.items():
        pattern = pattern_of(family, key) or ""
        found.append(Number(key, value, pattern, str(place_of(pattern, key)), reading(family, key)))
    return found


def _tables(numbers: Sequence[Number]) -> list[MeasureTable]:
    """A table for each kind of place: "<bias>", "<group>", ..."""
    kinds: dict[str, list[Number]] = {}
    for number in numbers:
        pattern = number.pattern
        kinds.setdefault(pattern[pattern.index("<") : pattern.rindex(">") + 1], []).append(number)
    return [_table(kind, own) for kind, own in kinds.items()]


def _table(kind: str, numbers: Sequence[Number]) -> MeasureTable:
    """The numbers of some patterns, the fewer kind across."""
    texts = {number.pattern: number.text for number in numbers}
    values = {(number.place, number.pattern): number.value for number in numbers}
    places = list(dict.fromkeys(number.place for number in numbers))
    columns = [(_short(text.title), text.meaning) for text in texts.values() if text]
    titles = [(place, "") for place in places]
    grid = [[values.get((place, pattern), math.nan) for pattern in texts] for place in places]
    name = kind.replace("><", "> <").replace("|", " | ").replace("<", "").replace(">", "")
    if len(places) >= len(columns):
        return MeasureTable(name, name, columns, list(zip(titles, grid, strict=True)))
    turned = map(list, zip(*grid, strict=True))
    return MeasureTable(name, "measure", titles, list(zip(columns, turned, strict=True)))


def _short(title: str) -> str:
    return title.removesuffix(" of a value of the bias").removesuffix(" of a group")
