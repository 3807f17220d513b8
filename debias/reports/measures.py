"""The measures on a run's page: per family, one row per number, and tables by bias or group."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from debias.metrics.descriptions import Description
from debias.metrics.families import (
    family_of,
    headlines,
    of_positive,
    pattern_of,
    place_of,
    reading,
    title_of,
)
from debias.reports.record import Report
from debias.reports.split import Scalars

#: Tables with more rows are not on the page, only in report.json.
MOST_ROWS = 40
#: Number of families that are unfolded when the page opens.
OPEN = 3
#: If a family has more rows than this in addition to its headlines, they are folded.
MOST_PLAIN = 6

#: The title of a row or column, and its tooltip.
Title = tuple[str, str]


class Number(NamedTuple):
    """One number of a family.

    Attributes:
        key: its key in report.json, such as ``selection_rate/waterbird|land``.
        value: the number; ``None`` if undefined.
        pattern: the pattern of the key, such as ``selection_rate/<outcome>|<bias>``.
        place: the part of the key that fills the pattern, such as ``waterbird|land``.
        text: how to read the number; ``None`` if unknown.
    """

    key: str
    value: float | None
    pattern: str
    place: str
    text: Description | None


class MeasureTable(NamedTuple):
    """A table of numbers by place, such as bias value or group, and measure.

    Attributes:
        name: the kind of place, such as "bias" or "group".
        corner: title of the first column.
        columns: titles of the other columns.
        rows: title and numbers of each row; NaN is an empty cell.
    """

    name: str
    corner: str
    columns: Sequence[Title]
    rows: Sequence[tuple[Title, Sequence[float | None]]]


class MeasuredFamily(NamedTuple):
    """The section of a measured family on the page.

    Attributes:
        name: name of the family.
        title: title of the section.
        meaning: the question that the family answers.
        open: whether the section is unfolded.
        positive: the positive class, if the family depends on it.
        rows: the visible numbers: only the headlines if there are many more, otherwise all.
        more: the folded numbers.
        tables: numbers by bias value, group or other places.
        long: number of tables that are too long for the page.
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
    """Make the sections of all measured families, in the order of the report.

    Sections of one of several bias attributes are folded.
    """
    measured = [(name, scalars) for name, scalars in report.measures.items() if scalars]
    first = [name for name, _ in measured if "/" not in name][:OPEN]
    return [
        _family(name, scalars, report.positive_class, name in first) for name, scalars in measured
    ]


def left_out(report: Report) -> list[tuple[str, str]]:
    """List the title of each family that was not measured, and the reason."""
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
    positive = positive if of_positive(name) else None
    long = len(tables) - len(short)
    return MeasuredFamily(name, *_title(name), open, positive, first, more, short, long)


def _title(family: str) -> Title:
    entry = family_of(family)
    return title_of(family), entry.meaning if entry else ""


def _numbers(family: str, scalars: Scalars) -> list[Number]:
    """Look up the pattern, place and description of each number of a family."""
    numbers = []
    for key, value in scalars.items():
        pattern = pattern_of(family, key) or ""
        place = str(place_of(pattern, key))
        numbers.append(Number(key, value, pattern, place, reading(family, key)))
    return numbers


def _tables(numbers: Sequence[Number]) -> list[MeasureTable]:
    """Make one table per kind of place: "<bias>", "<group>" and others."""
    kinds: dict[str, list[Number]] = {}
    for number in numbers:
        pattern = number.pattern
        kinds.setdefault(pattern[pattern.index("<") : pattern.rindex(">") + 1], []).append(number)
    return [_table(kind, own) for kind, own in kinds.items()]


def _table(kind: str, numbers: Sequence[Number]) -> MeasureTable:
    """Make the table of one kind of place, such as "<bias>" or "<group>".

    A place is what a number is about, such as one group. Rows are places and columns are measures,
    or the reverse if there are fewer places than measures.
    """
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
