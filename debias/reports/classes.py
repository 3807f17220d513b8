"""Classes and bias values by name: the shortcut's pairs, and which class is positive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from debias.errors import InputError, near, shown
from debias.metrics.families import OF_POSITIVE

if TYPE_CHECKING:
    from debias.reports.record import Report
    from debias.types import Groups

Pairs = tuple[tuple[int, int], ...]


def positive_class(groups: Groups, given: str | None = None) -> str | None:
    """The class that a user names as the positive one, or the second of two; ``None`` where there
    are not two.

    Raises:
        ValueError: it is no class, or there are not two classes.
    """
    if given is None:
        return None if groups.multi_label or groups.rows != 2 else groups.target_names[1]
    if groups.multi_label or groups.rows != 2:
        what = "several labels" if groups.multi_label else f"{groups.rows} classes"
        raise InputError(
            f"positive={given}: there are {what}, and only two classes have a positive one: leave "
            "it out"
        )
    if given not in groups.target_names:
        raise InputError(f"positive={given} is no class; {near(given, groups.target_names)}")
    return given


def positive_notes(measures: Sequence[str], reports: Mapping[str, Sequence[Report]]) -> list[str]:
    """A line that says which of two classes is positive, where measures depend on it.

    Args:
        measures: "family:key" of each.
        reports: of the runs of each method, by its label.
    """
    families = dict.fromkeys(name.partition(":")[0] for name in measures)
    dependent = [name for name in families if name in OF_POSITIVE]
    named: dict[str, list[str]] = {}
    for label, runs in reports.items():
        for positive in dict.fromkeys(run.positive_class for run in runs):
            if positive is not None:
                named.setdefault(positive, []).append(label)
    if not dependent or not named:
        return []
    owners = [f"{name} ({', '.join(labels)})" for name, labels in named.items()]
    classes = "; ".join(owners if len(named) > 1 else named)
    return [f"positive class of {', '.join(dependent)}: {classes}"]


def aligned_pairs(
    path: Path, pairs: Sequence[Sequence[str]], targets: Sequence[str], biases: Sequence[str]
) -> Pairs:
    """Pairs of (target, bias), given by name or number, as numbers.

    Raises:
        ValueError: something is no pair, or no class or value of the bias.
    """
    found = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise InputError(
                "aligned must hold pairs, as in aligned=[[landbird,land],[waterbird,water]]; got "
                f"{pair}"
            )
        found.append((_place(path, pair[0], targets), _place(path, pair[1], biases)))
    return tuple(found)


def _place(path: Path, value: str, names: Sequence[str]) -> int:
    places = {str(place): place for place in range(len(names))}
    places |= {name: place for place, name in enumerate(names)}
    if str(value) not in places:
        raise InputError(f"{path}: aligned names {value!r}, which is none of {shown(names, 10)}")
    return places[str(value)]
