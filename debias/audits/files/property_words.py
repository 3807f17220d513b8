"""What the step ``properties`` says: lines with a rule that a person can read, and its section."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from debias.audits.lines import AuditLine, Section, Strip, ValueBar
from debias.audits.steps import Arrays, Audited
from debias.audits.strengths import SOME, strength

#: Most lines of each kind, rows of the table, bars, and strips of pictures.
MOST_LINES, MOST_ROWS, MOST_BARS, MOST_STRIPS = 6, 40, 12, 3
MEASURE = "cross-validated AUROC"
#: Traces of a file that are numbers of its pixels. They are not measured after resizing.
TRACES = ("blocks", "blocks off the grid", "resampling")
#: The line of a kind without findings.
NOTHING = {
    "files": "sizes, formats, JPEG tables, cameras and traces of saving do not tell the class",
    "offered": "no plain number of the pictures tells the class",
}


def lines_of(audited: Audited) -> Sequence[AuditLine]:
    """The properties of each kind that tell the class, or one line that none does."""
    found, images = audited.found["properties"], len(audited.judged)
    telling = [_line(audited, found, place) for place in _telling(found)]
    telling.sort(key=lambda line: bool(line.explained_by))
    kept = []
    for kind, words in NOTHING.items():
        lines = [line for line in telling if line.kind == kind][:MOST_LINES]
        kept += lines or [AuditLine(kind, "", "none found", words, images=images)]
    return sorted(kept, key=lambda line: telling.index(line) if line in telling else len(telling))


def _telling(found: Arrays) -> list[int]:
    return [place for place in range(len(found["name"])) if _word(found, place) != "none found"]


def _word(found: Arrays, place: int) -> str:
    return strength(float(found["auroc"][place, 0]), float(found["p holm"][place]))


def _line(audited: Audited, found: Arrays, place: int) -> AuditLine:
    value, low, high = (float(end) for end in found["auroc"][place])
    survives = survival(str(found["name"][place]), float(found["seen auroc"][place]))
    ends = found["extremes"][place]
    return AuditLine(
        kind=str(found["kind"][place]),
        name=str(found["name"][place]),
        strength=_word(found, place),
        words=f"{rule_words(audited, found, place)}; AUROC {value:.2f}; {survives}",
        value=value,
        low=low,
        high=high,
        chance=0.5,
        measure=MEASURE,
        images=len(audited.judged),
        explained_by=str(found["explained by"][place]),
        rows=tuple(int(one) for one in ends if one >= 0),
    )


def survival(name: str, seen: float) -> str:
    """Whether a property still tells the class after decoding, resizing and cropping."""
    if np.isnan(seen):
        return "gone after resizing" if name in TRACES else "gone after decoding"
    return "survives resizing" if seen >= SOME else "gone after resizing"


def rule_words(audited: Audited, found: Arrays, place: int) -> str:
    """The rule of a property, as in "width > 900 in 92 % of malignant, 3 % of the others"."""
    target, value, precision, recall, others = (float(one) for one in found["rule"][place])
    sign, name = str(found["sign"][place]), audited.classes[int(target)]
    shown = str(found["category"][place]) if sign == "is" else _number(value)
    return (
        f"{sign} {shown} in {100 * recall:.0f} % of {name}, {100 * others:.0f} % of the others "
        f"(precision {precision:.2f})"
    )


def _number(value: float) -> str:
    """A threshold. From 100 on it is rounded down, so that the rule stays true of whole numbers."""
    return f"{math.floor(value):,}" if abs(value) >= 100 else f"{value:.3g}"


def section_of(audited: Audited) -> Section | None:
    """Bars of the best properties, a table of all, and pictures at both ends of three."""
    found = audited.found["properties"]
    count = len(found["name"])
    areas = found["auroc"].astype(np.float64)
    bars = [
        ValueBar(str(found["name"][i]), *map(float, areas[i])) for i in range(min(count, MOST_BARS))
    ]
    text = (
        "Each fact of a file or picture alone: how well a small decision tree tells the class on "
        "images that it did not learn from. Holm's correction is over all facts.",
        "A fact of the file is gone once a picture is decoded and resized, but what comes with it, "
        "such as blocks or blur, may stay.",
    )
    header = ("property", "found", "rule", "AUROC", "bits", "p (Holm)", "after resizing", "classes")
    table = [tuple(_row(audited, found, place)) for place in range(min(count, MOST_ROWS))]
    return Section(
        "Properties of files and pictures", text, 0.5, bars, header, table, _strips(found)
    )


def _row(audited: Audited, found: Arrays, place: int) -> Iterator[str]:
    explained = str(found["explained by"][place])
    yield str(found["name"][place])
    word = _word(found, place)
    yield f"{word}, explained by {explained}" if explained and word != "none found" else word
    yield rule_words(audited, found, place)
    value, low, high = found["auroc"][place]
    yield f"{value:.3f} [{low:.3f}, {high:.3f}]"
    yield f"{found['bits'][place]:.3f}"
    yield f"{found['p holm'][place]:.2g}"
    seen = float(found["seen auroc"][place])
    yield "–" if np.isnan(seen) else f"{seen:.3f}"
    yield str(found["sparks"][place])


def _strips(found: Arrays) -> list[Strip]:
    shown = [
        place
        for place in _telling(found)
        if found["extremes"][place, 0] >= 0 and not found["explained by"][place]
    ]
    strips = []
    for place in shown[:MOST_STRIPS]:
        low, high = np.split(found["extremes"][place], 2)
        name = str(found["name"][place])
        strips.append(Strip(f"{name}: lowest", tuple(map(int, low))))
        strips.append(Strip(f"{name}: highest", tuple(map(int, high))))
    return strips
