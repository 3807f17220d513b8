"""Every number of the group accuracy family, from one table of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from debias.metrics.accuracy.accuracies import (
    accuracy,
    accuracy_gap,
    accuracy_ratio,
    class_difference,
    mean_accuracy,
    worst_accuracy,
)
from debias.metrics.accuracy.counts import (
    Margins,
    Tally,
    aligned_groups,
    class_tally,
    group_tally,
    total_tally,
)
from debias.metrics.accuracy.intervals import wilson_interval, worst_group_interval
from debias.metrics.fairness.rates import difference_to_overall
from debias.types import Groups


def group_scalars(
    counts: Tensor | Margins, groups: Groups, train_frequencies: Tensor | None = None
) -> dict[str, Tensor]:
    """The scalars of ``debias.metrics.descriptions``, under keys that depend on the groups only.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them.
        groups: names and numbering of the groups.
        train_frequencies: ``(groups.count,)`` training samples of each group, the weights of
            ``adjusted_average``.

    Returns:
        float64 scalars. ``adjusted_average`` is there if frequencies are given, the ``bias_*`` keys
        if ``groups.aligned`` is not empty; what is there is NaN only where nothing was observed
        that defines it.
    """
    tally = group_tally(counts)
    by_group, by_class = accuracy(*tally), accuracy(*class_tally(counts))
    average, worst = accuracy(*total_tally(counts)), worst_accuracy(by_group)
    scalars = {"average": average}
    if train_frequencies is not None:
        scalars["adjusted_average"] = mean_accuracy(by_group, train_frequencies.to(by_group))
    scalars |= {
        "worst_group": worst,
        "worst_class": worst_accuracy(by_class),
        "group_balanced": mean_accuracy(by_group),
        "class_balanced": mean_accuracy(by_class),
        "class_difference": class_difference(by_class),
        "gap": accuracy_gap(by_group),
        "robustness_gap": average - worst,
        "greatest_deviation": difference_to_overall(by_group, average),
        "group_ratio": accuracy_ratio(by_group),
    }
    if groups.aligned:
        scalars |= _by_alignment(tally, aligned_groups(groups).to(tally.total.device))
    scalars |= {
        f"accuracy/{name}": value for name, value in zip(groups.names, by_group, strict=True)
    }
    return scalars | {
        f"class_accuracy/{name}": v for name, v in zip(groups.target_names, by_class, strict=True)
    }


def group_report(
    counts: Tensor | Margins, groups: Groups, train_frequencies: Tensor | None = None
) -> dict[str, Any]:
    """What ``report.json`` says of one split: scalars, intervals, a row per group and class.

    Args:
        counts, groups, train_frequencies: as in ``group_scalars``.

    Returns:
        ``{"scalars": {key: float}, "intervals": {"worst_group": [low, high], "worst_class": [low,
        high]}, "groups": [{"name", "accuracy", "count", "low", "high"}, ...], "classes": [...]}``
        of plain floats and ints, ``None`` for NaN. Intervals have coverage 95 %: Wilson's for a
        group or class by itself, the simultaneous one for the worst. Classes count every image,
        groups those of known bias.
    """
    tallies = {"group": group_tally(counts), "class": class_tally(counts)}
    scalars = group_scalars(counts, groups, train_frequencies)
    return {
        "scalars": {key: _plain(value.item()) for key, value in scalars.items()},
        "intervals": {
            f"worst_{kind}": [end.item() for end in worst_group_interval(*tally)]
            for kind, tally in tallies.items()
        },
        "groups": _rows(groups.names, tallies["group"]),
        "classes": _rows(groups.target_names, tallies["class"]),
    }


def _rows(names: Sequence[str], tally: Tally) -> list[dict[str, Any]]:
    columns = (accuracy(*tally), tally.total, *wilson_interval(*tally))
    keys = ("name", "accuracy", "count", "low", "high")
    rows = zip(names, *(column.tolist() for column in columns), strict=True)
    return [{key: _plain(value) for key, value in zip(keys, row, strict=True)} for row in rows]


def _by_alignment(tally: Tally, aligned: Tensor) -> dict[str, Tensor]:
    scalars = {}
    for name, mask in (("bias_aligned", aligned), ("bias_conflicting", ~aligned)):
        scalars[name] = mean_accuracy(accuracy(*tally), mask)
        scalars[f"{name}_samples"] = accuracy(tally.correct[mask].sum(), tally.total[mask].sum())
    return scalars


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
