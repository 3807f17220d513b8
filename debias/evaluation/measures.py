"""Measures of a run or of predictions, of the families asked for; or why there are none."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from debias.errors import InputError, near
from debias.evaluation.families import CONDITIONS, CURVES, MEASURES, Evidence
from debias.merging import Settings
from debias.metrics.families import FAMILIES

#: Instead of names of families: everything, what takes next to no time, or nothing beyond
#: accuracies.
SEVERAL: Mapping[str, tuple[str, ...]] = {
    "all": tuple(FAMILIES),
    "quick": tuple(name for name, family in FAMILIES.items() if family.quick),
    "none": (),
}


class Measures(NamedTuple):
    """Scalars by family, the reason why a family was left out, and curves to draw."""

    scalars: dict[str, dict[str, float]]
    left_out: dict[str, str]
    curves: Settings


def measure_all(evidence: Evidence, families: Collection[str] = tuple(FAMILIES)) -> Measures:
    """Measure the families that were asked for, all by default, as far as the evidence allows."""
    found = Measures({}, {}, {})
    for name in families:
        family = FAMILIES[name]
        reasons = (CONDITIONS[need](evidence) for need in family.needs)
        if missing := next(filter(None, reasons), ""):
            found.left_out[name] = missing
            continue
        try:
            scalars = MEASURES[name](evidence)
        except InputError as error:  # too few images of a kind, as a rule; the others go on
            found.left_out[name] = str(error)
            continue
        found.scalars[name] = scalars
        if family.curve:
            found.curves[family.curve] = CURVES[family.curve](evidence, scalars)
    return found


def chosen_families(text: str) -> list[str]:
    """The families that "all", "quick", "none", "fairness" or "quick,features" stand for, in the
    order of ``FAMILIES``.

    Raises:
        ValueError: there is no such family; the message names the nearest.
    """
    chosen: set[str] = set()
    for name in (part.strip() for part in text.strip("[]").split(",")):
        if name not in SEVERAL and name not in FAMILIES:
            raise InputError(
                f"measures={text}: no measures {name!r}; {near(name, [*FAMILIES, *SEVERAL])}"
            )
        chosen.update(SEVERAL.get(name, (name,)))
    return [name for name in FAMILIES if name in chosen]
