"""The step ``properties``: which plain facts of files and pictures tell the class."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.probing import unit_folds
from debias.audits.cues.units import audited_units, one_unit
from debias.audits.files import headers, measuring
from debias.audits.files.association import (
    auroc_inside,
    binned,
    category_rule,
    category_scores,
    coded,
    information_p_values,
    number_rule,
    tied_auroc_interval,
    tree_scores,
)
from debias.audits.files.property_words import TRACES, lines_of, section_of
from debias.audits.rows.duplicates_step import DUPLICATES
from debias.audits.steps import Arrays, Audited, Step
from debias.audits.strengths import SOME, strength
from debias.metrics.accuracy.significance import holm

#: Properties that are named first among properties that tell the class equally well: causes before
#: what follows from them.
FIRST = (
    *("JPEG quality", "JPEG tables", "camera model", "width", "height"),
    *("resampling", "border brightness", "sharpness"),
)
#: Properties that follow from nearly everything, and are named last.
LAST = ("file size", "bytes per pixel", "blocks", "blocks off the grid")
#: Most properties that explain others, and pictures at each end of a property.
MOST_HEADS, PICTURES = 4, 4
SPARKS = "▁▂▃▄▅▆▇█"


class Property(NamedTuple):
    """A fact of the images under audit.

    Attributes:
        name: its name.
        kind: "files" for a fact of the file, "offered" for one of the picture.
        values: ``(N,)`` float64, NaN where unknown; or ``(N,)`` texts.
        seen: ``(N,)`` the same number of the resized picture; ``None`` if it has none.
    """

    name: str
    kind: str
    values: NDArray[np.generic]
    seen: NDArray[np.float64] | None


def properties_of(audited: Audited) -> list[Property]:
    """All facts of the files and pictures that have more than one value."""
    found = audited.found
    texts_and_numbers = found.get("headers", {})
    numbers = found["pixels"]
    seen = _columns(numbers, measuring.SEEN_NAMES, measuring.SEEN_NUMBERS)
    file = _columns(numbers, measuring.FILE_NAMES, measuring.FILE_NUMBERS)
    every = [
        Property(name, "files", texts_and_numbers[name], None)
        for name in (*headers.NUMBERS, *headers.TEXTS)
        if name in texts_and_numbers
    ]
    every += [
        Property(name, "files" if name in TRACES else "offered", values, seen.get(name))
        for name, values in file.items()
    ]
    every += [
        Property(name, "offered", values, values)
        for name, values in seen.items()
        if name not in file
    ]
    every.sort(key=lambda one: _place(one.name))
    return [one for one in every if _varies(one.values[audited.judged])]


def _place(name: str) -> int:
    if name in FIRST:
        return FIRST.index(name)
    return len(FIRST) + (name in LAST)


def _columns(arrays: Arrays, names: str, numbers: str) -> dict[str, NDArray[np.float64]]:
    table = arrays[numbers].astype(np.float64)
    return {str(name): table[:, place] for place, name in enumerate(arrays[names])}


def _varies(values: NDArray[np.generic]) -> bool:
    if values.dtype.kind == "U":
        return len(np.unique(values)) > 1
    return len(np.unique(values[~np.isnan(values.astype(np.float64))])) > 1


class _Told(NamedTuple):
    """What one property tells: cross-fitted scores, their AUROC and interval, and its text."""

    scores: NDArray[np.float64]
    code: NDArray[np.int64]
    area: tuple[float, float, float]
    seen_area: float
    rule: tuple[float, ...]
    sign: str
    category: str
    sparks: str
    extremes: NDArray[np.int64]


def _compute(audited: Audited) -> Arrays:
    judged = audited.judged
    target, classes = audited.target[judged], len(audited.classes)
    generator = np.random.default_rng([audited.seed, 1])
    unit = audited_units(audited)[judged]
    fold = unit_folds(unit, target, generator.permutation(len(target)))
    facts = properties_of(audited)
    told = [_told(one, judged, target, fold, classes, generator) for one in facts]
    codes = [one.code for one in told]
    bits, p_values = information_p_values(codes, target, classes, generator, unit=unit)
    adjusted = holm(p_values)
    areas = np.array([one.area for one in told]).reshape(-1, 3)
    order = np.argsort(-np.round(areas[:, 0], 3), kind="stable")
    explained = _explained(
        [facts[i] for i in order], [told[i] for i in order], adjusted[order].tolist(), target
    )
    return {
        "name": _texts(facts[i].name for i in order),
        "kind": _texts(facts[i].kind for i in order),
        "auroc": areas[order],
        "seen auroc": np.array([told[i].seen_area for i in order]),
        "bits": bits[order],
        "p": p_values[order],
        "p holm": adjusted[order],
        "rule": np.array([told[i].rule for i in order]).reshape(-1, 5),
        "sign": _texts(told[i].sign for i in order),
        "category": _texts(told[i].category for i in order),
        "sparks": _texts(told[i].sparks for i in order),
        "extremes": np.array([told[i].extremes for i in order]).reshape(-1, 2 * PICTURES),
        "explained by": _texts(explained),
    }


def _texts(values: Iterable[str]) -> NDArray[np.str_]:
    return np.array(list(values), dtype=np.str_)


def _told(
    fact: Property,
    judged: NDArray[np.int64],
    target: NDArray[np.int64],
    fold: NDArray[np.int64],
    classes: int,
    generator: np.random.Generator,
) -> _Told:
    ends = np.full(2 * PICTURES, -1)
    if fact.values.dtype.kind == "U":
        code, names = coded(fact.values[judged].astype(np.str_))
        scores = category_scores(code, target, fold, classes)
        rule = category_rule(code, target, classes)
        category, sparks, seen_area = names[int(rule.value)] or "absent", "", np.nan
    else:
        values = fact.values[judged].astype(np.float64)
        code, scores = binned(values), tree_scores(values, target, fold, classes)
        rule = number_rule(values, target, classes)
        category, sparks = "", _sparks(values, target, classes)
        seen_area = np.nan
        if fact.seen is not None:
            of_seen = tree_scores(fact.seen[judged], target, fold, classes)
            seen_area = tied_auroc_interval(of_seen, target, generator)[0]
        ends = judged[_extremes(values)]
    area = tied_auroc_interval(scores, target, generator)
    numbers = (rule.target, rule.value, rule.precision, rule.recall, rule.others)
    return _Told(scores, code, area, seen_area, numbers, rule.sign, category, sparks, ends)


def _extremes(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of the lowest and the highest values."""
    order = np.argsort(values, kind="stable")  # NaN comes last
    order = order[: max(1, int((~np.isnan(values)).sum()))]
    chosen = np.resize(order[:PICTURES], PICTURES), np.resize(order[::-1][:PICTURES], PICTURES)
    return np.concatenate(chosen)


def _sparks(values: NDArray[np.float64], target: NDArray[np.int64], classes: int) -> str:
    """A small histogram per class, over equal parts of the central 98 % of all values."""
    low, high = np.nanquantile(values, [0.01, 0.99])
    parts = []
    for one in range(min(classes, 4)):
        members = np.clip(values[(target == one) & ~np.isnan(values)], low, high)
        counts, _ = np.histogram(members, bins=len(SPARKS), range=(low, max(high, low + 1e-9)))
        heights = np.rint(counts / max(counts.max(), 1) * (len(SPARKS) - 1)).astype(int)
        parts.append("".join(SPARKS[height] for height in heights))
    return " ".join(parts)


def _explained(
    facts: Sequence[Property],
    told: Sequence[_Told],
    p_values: Sequence[float],
    target: NDArray[np.int64],
) -> list[str]:
    """For each property, best first: the better finding that explains it, or an empty text."""
    heads: list[int] = []
    names = []
    for place, one in enumerate(told):
        name = ""
        for head in heads:
            inside = auroc_inside(one.scores, target, told[head].scores.argmax(axis=1))
            same_kind = facts[head].kind == facts[place].kind
            if inside < SOME if inside is not None else same_kind:
                name = facts[head].name
                break
        names.append(name)
        found = strength(one.area[0], p_values[place]) != "none found"
        if not name and len(heads) < MOST_HEADS and found:
            heads.append(place)
    return names


PROPERTIES = Step(
    *("properties", ("headers", DUPLICATES, "pixels"), _compute, lines_of, section_of, one_unit),
    version=4,
)
