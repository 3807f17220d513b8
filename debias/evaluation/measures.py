"""The requested families of measures of a run or of a file of predictions."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from debias.errors import InputError, near
from debias.evaluation.curves import CURVES
from debias.evaluation.evidence import Evidence
from debias.evaluation.families import CONDITIONS, MEASURES
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
    in ``left_out`` with the reason. With several bias attributes, a family of the bias is measured
    for their combinations, and as ``NAME/ATTRIBUTE`` for each attribute alone.
    """
    measures = Measures({}, {}, {})
    evidence = evidence._replace(kept=[])
    for name in families:
        family = FAMILIES[name]
        reason = _measure(measures, name, name, evidence)
        if family.curve and not reason:
            scalars = measures.scalars[name]
            measures.curves[family.curve] = CURVES[family.curve](evidence, scalars)
        attributes = evidence.groups.attributes if family.by_attribute else ()
        for position, attribute in enumerate(attributes):
            entry = f"{name}/{attribute.name}"
            if _measure(measures, name, entry, evidence.of_attribute(position)) == reason != "":
                del measures.left_out[entry]
    for entry, scalars in measures.scalars.items():
        if len(scalars) > MOST_NUMBERS:
            measures.scalars[entry] = _of_all(entry, scalars)
    return measures


def _measure(measures: Measures, family: str, entry: str, evidence: Evidence) -> str:
    """Add the numbers of a family, or the reason why it is left out, which is returned."""
    reasons = (CONDITIONS[need](evidence) for need in FAMILIES[family].needs)
    if missing := next(filter(None, reasons), ""):
        measures.left_out[entry] = missing
        return missing
    if not FAMILIES[family].quick:
        say(f"measuring {entry}")
    try:
        measures.scalars[entry] = MEASURES[family](evidence)
    except InputError as error:  # usually too few images; other families can still work
        measures.left_out[entry] = str(error)
        return str(error)
    return ""


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
    for name in measure_names(text):
        if name not in SEVERAL and name not in FAMILIES:
            raise InputError(
                f"measures={text}: no measures {name!r}; {near(name, [*FAMILIES, *SEVERAL])}"
            )
        chosen.update(SEVERAL.get(name, (name,)))
    return [name for name in FAMILIES if name in chosen]


def measure_names(text: str) -> list[str]:
    """The names in a ``measures`` option, which may be a list of YAML or JSON.

    Example:
        >>> measure_names("quick, features"), measure_names('["scores"]')
        (['quick', 'features'], ['scores'])
    """
    return [part.strip(" \"'") for part in text.strip(" []").split(",")]
