"""The table of all families of measures, and the text of each of their numbers. Pure Python."""

import re
from collections.abc import Mapping
from functools import cache
from typing import TypeVar

from debias.metrics.altered.family import ALTERED
from debias.metrics.amplification.family import AMPLIFICATION, THRESHOLDS
from debias.metrics.attacked.family import ATTACKED
from debias.metrics.attention.family import ATTENTION
from debias.metrics.descriptions import Description, Family
from debias.metrics.discovery.family import ERRORS, INFORMATION
from debias.metrics.fairness.family import FAIRNESS
from debias.metrics.frequency.family import FREQUENCY
from debias.metrics.leakage.family import FEATURES, LEAKAGE
from debias.metrics.scores.family import SCORES
from debias.metrics.shortcuts.family import (
    BACKGROUND,
    CONTEXT,
    CUES,
    PLACEMENT,
    PREFERENCE,
    SHORTCUTS,
    UNCOMMON_VALUES,
    VARIANTS,
)

Value = TypeVar("Value")

#: The first numbers that are shown of a family that is unknown or has none of its headlines.
MOST = 4

#: Every family, in the order of reports.
FAMILIES: Mapping[str, Family] = {
    "fairness": FAIRNESS,
    "amplification": AMPLIFICATION,
    "thresholds": THRESHOLDS,
    "scores": SCORES,
    "information": INFORMATION,
    "errors": ERRORS,
    "shortcuts": SHORTCUTS,
    "cues": CUES,
    "preference": PREFERENCE,
    "uncommon": UNCOMMON_VALUES,
    "variants": VARIANTS,
    "context": CONTEXT,
    "leakage": LEAKAGE,
    "features": FEATURES,
    "background": BACKGROUND,
    "placement": PLACEMENT,
    "attention": ATTENTION,
    "frequency": FREQUENCY,
    "altered": ALTERED,
    "attacked": ATTACKED,
}


def family_of(name: str) -> Family | None:
    """The family of an entry of ``measures``, such as "fairness" or, of one attribute,
    "fairness/gender"; ``None`` if it is unknown.
    """
    return FAMILIES.get(name.partition("/")[0])


def title_of(name: str) -> str:
    """The title of an entry of ``measures``.

    Example:
        >>> title_of("fairness/gender")
        'Fairness: gender alone'
    """
    family, (_, _, attribute) = family_of(name), name.partition("/")
    if family is None:
        return name
    return f"{family.title}: {attribute} alone" if attribute else family.title


def of_positive(name: str) -> bool:
    """Whether the numbers of an entry of ``measures`` depend on the positive class."""
    family = family_of(name)
    return family is not None and family.of_positive


def headlines(family: str, scalars: Mapping[str, Value]) -> dict[str, Value]:
    """The few numbers of a family that a short summary shows.

    Args:
        family: name of the family, with or without an attribute as in ``fairness/gender``.
        scalars: all its numbers by key.

    Returns:
        The numbers of the family's ``headlines`` that ``scalars`` has. If there are none, or the
        family is unknown, the first ``MOST`` numbers.

    Example:
        >>> scalars = {"accuracy_all_backgrounds": 0.5, "background_robustness": 0.75}
        >>> headlines("background", scalars)
        {'background_robustness': 0.75}
    """
    entry = family_of(family)
    named = entry.headlines if entry else ()
    chosen = [key for name in named for key in scalars if place_of(name, key) is not None]
    return {key: scalars[key] for key in chosen or list(scalars)[:MOST]}


def reading(family: str, key: str) -> Description | None:
    """The description of a family's number by its key; ``None`` if the number has no description.

    Example:
        >>> reading("fairness", "precision/waterbird|land").title
        'Precision'
    """
    pattern = pattern_of(family, key)
    entry = family_of(family)
    return None if pattern is None or entry is None else entry.numbers[pattern]


def pattern_of(family: str, key: str) -> str | None:
    """The first pattern of a family's numbers that matches a key, or ``None``."""
    entry = family_of(family)
    numbers = entry.numbers if entry else ()
    return next((pattern for pattern in numbers if place_of(pattern, key) is not None), None)


def place_of(pattern: str, key: str) -> str | None:
    """The part of a key that the ``<names>`` of a pattern stand for.

    Returns:
        That part, or an empty text if the pattern has no names; ``None`` if the key does not match.

    Example:
        >>> place_of("precision/<outcome>|<bias>", "precision/waterbird|land")
        'waterbird|land'
    """
    match = _compiled(pattern).fullmatch(key)
    return None if match is None else match[1]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    head, mark, rest = pattern.partition("<")
    names, _, tail = rest.rpartition(">")
    inner = ".+".join(map(re.escape, re.split("<[^>]*>", f"<{names}>"))) if mark else ""
    return re.compile(f"{re.escape(head)}({inner}){re.escape(tail)}", re.DOTALL)
