"""Classes and bias values named by users: the positive class, and the pairs of the shortcut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from debias.errors import InputError, near, shown
from debias.metrics.families import of_positive

if TYPE_CHECKING:
    from debias.reports.record import Report
    from debias.types import Groups

Pairs = tuple[tuple[int, int], ...]


def positive_class(groups: Groups, given: str | None = None) -> str | None:
    """The positive class: the one that a user names, by default the second of two.

    Args:
        groups: the groups, with the names of the classes.
        given: name of a class, or ``None`` for the default.

    Returns:
        Name of the class. ``None`` if none is given and there are not exactly two classes.

    Raises:
        ValueError: ``given`` is not a class, or there are not exactly two classes.
    """
    if given is None:
        return None if groups.multi_label or groups.rows != 2 else groups.target_names[1]
    if groups.multi_label or groups.rows != 2:
        what = "several labels" if groups.multi_label else f"{groups.rows} classes"
        raise InputError(
            f"positive needs exactly two classes; got positive={given} with {what}. Leave it out"
        )
    if given not in groups.target_names:
        raise InputError(f"positive={given} is no class; {near(given, groups.target_names)}")
    return given


def positive_notes(measures: Sequence[str], reports: Mapping[str, Sequence[Report]]) -> list[str]:
    """Write a note on the positive class, if one of the measures depends on it.

    Args:
        measures: the measures, as "family:key".
        reports: the runs of each method, by the method's label.

    Returns:
        One line, or none.
    """
    families = dict.fromkeys(name.partition(":")[0] for name in measures)
    dependent = [name for name in families if of_positive(name)]
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
    """Convert (target, bias) pairs from names or numbers to numbers.

    Args:
        path: the file with the predictions, for error messages.
        pairs: the pairs that the shortcut favours.
        targets: names of the classes.
        biases: names of the bias values.

    Raises:
        ValueError: an entry is not a pair, or has an unknown class or bias value.
    """
    numbers = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise InputError(
                "aligned must hold pairs, as in aligned=[[landbird,land],[waterbird,water]]; got "
                f"{pair}"
            )
        numbers.append((_place(path, pair[0], targets), _place(path, pair[1], biases)))
    return tuple(numbers)


def _place(path: Path, value: str, names: Sequence[str]) -> int:
    places = {str(place): place for place in range(len(names))}
    places |= {name: place for place, name in enumerate(names)}
    if str(value) not in places:
        raise InputError(f"{path}: unknown name {value!r} in aligned; valid: {shown(names, 10)}")
    return places[str(value)]
