"""The objectives of a search: validation metrics at the epoch that the run's own rule selects."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from debias.errors import InputError, near
from debias.merging import Section
from debias.metrics.selection import best_epochs, chosen_rule
from debias.reports.record import Selection
from debias.sweeps.protocol import allowed_splits
from debias.sweeps.search.fronts import Point, hypervolume, undominated


class Objective(NamedTuple):
    """A validation metric to optimise.

    Attributes:
        scalar: name of the metric.
        maximize: whether a higher value is better. Every metric lies in [0, 1].
        reads: the splits whose group labels it needs.
    """

    scalar: str
    maximize: bool
    reads: tuple[str, ...] = ()


OBJECTIVES = {
    "worst_group": Objective("worst_group", True, ("val",)),
    "balanced": Objective("group_balanced", True, ("val",)),
    "worst_group_gap": Objective("robustness_gap", False, ("val",)),
    "worst_class": Objective("worst_class", True),
    "average": Objective("average", True),
    "adjusted_average": Objective("adjusted_average", True, ("train", "val")),
    "class_difference": Objective("class_difference", False),
}
"""The objectives by name. ``worst_group_gap`` is average accuracy minus worst-group accuracy, and
``adjusted_average`` weights the groups by their shares of the training images."""


def check_objectives(names: Sequence[str], labels: str) -> None:
    """Check the objectives of a search.

    Args:
        names: names of the objectives.
        labels: the protocol, a key of ``protocol.LABELS``.

    Raises:
        ValueError: there is no name, or one is repeated, unknown, of the test split, or needs group
            labels that the protocol does not allow.
    """
    allowed = set(allowed_splits(labels))
    usable = [name for name, entry in OBJECTIVES.items() if allowed.issuperset(entry.reads)]
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
            read = [split for split in OBJECTIVES[name].reads if split not in allowed]
            splits = " and ".join({"val": "validation", "train": "training"}[one] for one in read)
            raise InputError(
                f"search.objectives: {name} reads group labels of {splits}, which "
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
    points = gains(values, names)
    return [place for place in undominated(points) if points.index(points[place]) == place]


def gains(values: Sequence[Sequence[float]], names: Sequence[str]) -> list[Point]:
    """Change the sign of the objectives that are minimised, so that more is better in all."""
    signs = [1 if OBJECTIVES[name].maximize else -1 for name in names]
    return [tuple(sign * value for sign, value in zip(signs, row, strict=True)) for row in values]


def dominated_share(values: Sequence[Sequence[float]], names: Sequence[str]) -> float:
    """Compute the hypervolume of trials above the worst values of all objectives, in [0, 1].

    The worst value is 0 for an objective that is maximised, and 1 for one that is minimised. The
    result is 1 only if a trial has the best values of all objectives.

    Args:
        values: one entry per trial, with one value per objective.
        names: names of the objectives.

    Example:
        >>> dominated_share([[0.75, 0.5]], ["average", "worst_group_gap"])
        0.375
    """
    (reference,) = gains([worst_values(names)], names)
    return hypervolume(gains(values, names), reference)


def hypervolume_line(front: Sequence[Sequence[float]], objectives: Sequence[str]) -> str:
    """Name the hypervolume of a front, and the worst values that it is measured from.

    Args:
        front: one entry per trial, with one value per objective.
        objectives: names of the objectives.

    Example:
        >>> hypervolume_line([[0.75, 0.5]], ["average", "worst_group_gap"])
        'hypervolume 0.375 of 1 (from average 0, worst_group_gap 100)'
    """
    worst = zip(objectives, worst_values(objectives), strict=True)
    reference = ", ".join(f"{name} {100 * value:.0f}" for name, value in worst)
    return f"hypervolume {dominated_share(front, objectives):.3f} of 1 (from {reference})"


def worst_values(names: Sequence[str]) -> list[float]:
    """The worst possible value of each objective: 0 if it is maximised, otherwise 1."""
    return [0.0 if OBJECTIVES[name].maximize else 1.0 for name in names]


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
