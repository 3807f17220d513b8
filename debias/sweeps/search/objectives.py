"""What a search makes better: figures of validation, at the epoch that a run's own rule selects."""

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
    """A scalar of validation, whether more of it is better, and whether it reads group labels."""

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
"""By name; ``worst_group_gap`` is the average accuracy less that of the worst group."""


def check_objectives(names: Sequence[str], labels: str) -> None:
    """Refuse objectives that are none, that read the test split, or group labels which the protocol
    does not allow.

    Raises:
        ValueError: naming the objective and those that may be used.
    """
    known = "val" in allowed_splits(labels)
    usable = [name for name, entry in OBJECTIVES.items() if known or not entry.reads_groups]
    if not names or len(set(names)) < len(names):
        raise InputError(f"search.objectives must name each objective once; got {list(names)}")
    for name in names:
        if "test" in name.lower():
            raise InputError(
                f"search.objectives: {name} is no objective: the test split is read once, by the "
                f"runs of the final seeds; objectives are of validation: {', '.join(usable)}"
            )
        if name not in OBJECTIVES:
            raise InputError(
                f"search.objectives: unknown objective {name!r}; {near(name, OBJECTIVES)}"
            )
        if name not in usable:
            raise InputError(
                f"search.objectives: {name} reads group labels of validation, which "
                f"labels={labels} does not allow: choose {' or '.join(usable)}"
            )


def of_selection(name: str, selection: Selection) -> float | None:
    """The objective of a finished run; ``None`` where it is undefined."""
    return _defined(selection.chosen.val.get(OBJECTIVES[name].scalar))


def of_history(name: str, history: Sequence[Section], rule: str) -> float | None:
    """The objective of a run if it ended now.

    Args:
        name: of the objective.
        history: an entry for each epoch, with the scalars of validation under ``val``.
        rule: by which the run selects an epoch.
    """
    scalars = [entry["val"] for entry in history]
    preferred = best_epochs(scalars)
    epoch = preferred.get(chosen_rule(rule, labelled="worst_group" in preferred))
    return None if epoch is None else _defined(scalars[epoch].get(OBJECTIVES[name].scalar))


def pareto_front(values: Sequence[Sequence[float]], names: Sequence[str]) -> list[int]:
    """Positions that no other beats: at least as good in every objective, better in one.

    Of several with the same values the first is kept; with one objective, that is the first of the
    best.

    Example:
        >>> values = [[0.7, 0.1], [0.8, 0.2], [0.7, 0.2], [0.7, 0.1]]
        >>> pareto_front(values, ["average", "worst_group_gap"])
        [0, 1]
    """
    signs = [1 if OBJECTIVES[name].maximize else -1 for name in names]
    points = [tuple(sign * value for sign, value in zip(signs, row, strict=True)) for row in values]
    return [place for place in undominated(points) if points.index(points[place]) == place]


def undominated(points: Sequence[tuple[float, ...]]) -> list[int]:
    """Places of the points than which no other is as high in every number; equals do not count."""
    return [
        place
        for place, point in enumerate(points)
        if not any(all(map(ge, other, point)) for other in points if other != point)
    ]


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
