"""The objectives of a search: validation metrics at the epoch that the run's own rule selects."""

import math
from collections.abc import Sequence
from operator import ge
from typing import NamedTuple

from debias.errors import InputError, near
from debias.merging import Section
from debias.metrics.selection import best_epochs, chosen_rule
from debias.reports.record import Selection
from debias.sweeps.protocol import allowed_splits


class Objective(NamedTuple):
    """A validation metric to optimise.

    Attributes:
        scalar: name of the metric.
        maximize: whether a higher value is better.
        reads_groups: whether it needs the group labels of validation.
    """

    scalar: str
    maximize: bool
    reads_groups: bool


OBJECTIVES = {
    "worst_group": Objective("worst_group", True, True),
    "balanced": Objective("group_balanced", True, True),
    "worst_group_gap": Objective("robustness_gap", False, True),
    "worst_class": Objective("worst_class", True, False),
    "average": Objective("average", True, False),
    "class_difference": Objective("class_difference", False, False),
}
"""The objectives by name. ``worst_group_gap`` is average accuracy minus worst-group accuracy."""


def check_objectives(names: Sequence[str], labels: str) -> None:
    """Check the objectives of a search.

    Args:
        names: names of the objectives.
        labels: the protocol, a key of ``protocol.LABELS``.

    Raises:
        ValueError: there is no name, or one is repeated, unknown, of the test split, or needs group
            labels that the protocol does not allow.
    """
    allowed = "val" in allowed_splits(labels)
    usable = [name for name, entry in OBJECTIVES.items() if allowed or not entry.reads_groups]
    if not names or len(set(names)) < len(names):
        raise InputError(f"search.objectives must name each objective once; got {list(names)}")
    for name in names:
        if "test" in name.lower():
            raise InputError(
                f"search.objectives must be validation metrics; got {name}. Only the runs of the "
                f"final seeds read the test split. Choose {' or '.join(usable)}"
            )
        if name not in OBJECTIVES:
            raise InputError(
                f"search.objectives: unknown objective {name!r}; {near(name, OBJECTIVES)}"
            )
        if name not in usable:
            raise InputError(
                f"search.objectives: {name} reads group labels of validation, which "
                f"labels={labels} does not allow. Choose {' or '.join(usable)}"
            )


def of_selection(name: str, selection: Selection) -> float | None:
    """The value of an objective for a finished run, at its selected epoch.

    ``None`` if the value is missing or NaN.
    """
    return _defined(selection.chosen.val.get(OBJECTIVES[name].scalar))


def of_history(name: str, history: Sequence[Section], rule: str) -> float | None:
    """The value of an objective for an unfinished run, at the epoch selected so far.

    ``None`` if no epoch can be selected, or if the value is missing or NaN.

    Args:
        name: name of the objective.
        history: one entry per epoch, with the validation metrics under ``val``.
        rule: the selection rule of the run.
    """
    scalars = [entry["val"] for entry in history]
    preferred = best_epochs(scalars)
    epoch = preferred.get(chosen_rule(rule, labelled="worst_group" in preferred))
    return None if epoch is None else _defined(scalars[epoch].get(OBJECTIVES[name].scalar))


def pareto_front(values: Sequence[Sequence[float]], names: Sequence[str]) -> list[int]:
    """Find the positions of the entries on the Pareto front.

    No other entry is at least as good in every objective and better in one. Of several entries
    with equal values, only the first is returned. With one objective, the result is therefore the
    first of the best entries.

    Args:
        values: one entry per trial, with one value per objective.
        names: names of the objectives.

    Example:
        >>> values = [[0.7, 0.1], [0.8, 0.2], [0.7, 0.2], [0.7, 0.1]]
        >>> pareto_front(values, ["average", "worst_group_gap"])
        [0, 1]
    """
    signs = [1 if OBJECTIVES[name].maximize else -1 for name in names]
    points = [tuple(sign * value for sign, value in zip(signs, row, strict=True)) for row in values]
    return [place for place in undominated(points) if points.index(points[place]) == place]


def undominated(points: Sequence[tuple[float, ...]]) -> list[int]:
    """Find the positions of the points that no other point equals or exceeds in every number.

    Points with the same numbers do not exclude each other.
    """
    return [
        place
        for place, point in enumerate(points)
        if not any(all(map(ge, other, point)) for other in points if other != point)
    ]


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
