"""The requested families of measures of a run or of a file of predictions."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from debias.errors import InputError, near
from debias.evaluation.families import CONDITIONS, CURVES, MEASURES, Evidence
from debias.merging import Settings
from debias.metrics.families import FAMILIES, pattern_of
from debias.progress import say

#: The families that are measured on every data set.
_USUAL = {name: family for name, family in FAMILIES.items() if not family.by_request}
#: Names that stand for several families: all usual ones, those that take almost no time, or none
#: beside the accuracies.
SEVERAL: Mapping[str, tuple[str, ...]] = {
    "all": tuple(_USUAL),
    "quick": tuple(name for name, family in _USUAL.items() if family.quick),
    "none": (),
}


#: With more numbers than this, a family has no numbers of single groups, classes or bias values.
MOST_NUMBERS = 10_000


class Measures(NamedTuple):
    """Scalars by family, the reason for each family that was left out, and curves by name."""

    scalars: dict[str, dict[str, float]]
    left_out: dict[str, str]
    curves: Settings


def measure_all(evidence: Evidence, families: Collection[str] = SEVERAL["all"]) -> Measures:
    """Compute some families of measures, by default all usual ones.

    A family whose conditions do not hold, or whose computation raises an ``InputError``, is listed
    in ``left_out`` with the reason.
    """
    measures = Measures({}, {}, {})
    for name in families:
        family = FAMILIES[name]
        reasons = (CONDITIONS[need](evidence) for need in family.needs)
        if missing := next(filter(None, reasons), ""):
            measures.left_out[name] = missing
            continue
        if not family.quick:
            say(f"measuring {name}")
        try:
            scalars = MEASURES[name](evidence)
        except InputError as error:  # usually too few images; other families can still work
            measures.left_out[name] = str(error)
            continue
        measures.scalars[name] = scalars if len(scalars) <= MOST_NUMBERS else _of_all(name, scalars)
        if family.curve:
            measures.curves[family.curve] = CURVES[family.curve](evidence, scalars)
    return measures


def _of_all(family: str, scalars: Mapping[str, float]) -> dict[str, float]:
    """The numbers of a family that are about all images, not about one group or bias value."""
    kept = {k: v for k, v in scalars.items() if "<" not in (pattern_of(family, k) or "<")}
    say(
        f"measures {family}: {len(scalars) - len(kept):,} numbers of single groups or bias values "
        f"are left out, because there are more than {MOST_NUMBERS:,}"
    )
    return kept


def chosen_families(text: str) -> list[str]:
    """The families of a ``measures`` option such as "all" or "quick,features".

    Args:
        text: names of families, or "all", "quick" or "none", separated by commas.

    Returns:
        Names of families, in the order of ``FAMILIES``.

    Raises:
        ValueError: a name is unknown; the message gives the nearest names.
    """
    chosen: set[str] = set()
    for name in (part.strip() for part in text.strip("[]").split(",")):
        if name not in SEVERAL and name not in FAMILIES:
            raise InputError(
                f"measures={text}: no measures {name!r}; {near(name, [*FAMILIES, *SEVERAL])}"
            )
        chosen.update(SEVERAL.get(name, (name,)))
    return [name for name in FAMILIES if name in chosen]
