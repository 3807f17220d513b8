"""Group accuracies and their aggregates, from one table of counts. The accuracy of an empty group
is NaN, and aggregates leave it out.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from debias.metrics.accuracy.attributes import each_alone
from debias.metrics.accuracy.counts import (
    Margins,
    Tally,
    aligned_groups,
    class_tally,
    group_tally,
    total_tally,
)
from debias.metrics.accuracy.uncertainty import wilson_interval, worst_group_interval
from debias.types import Groups

#: The numbers that are also given for each of several bias attributes alone.
OF_ATTRIBUTE = ("worst_group", "adjusted_average", "gap", "bias_aligned", "bias_conflicting")


def accuracy(correct: Tensor, total: Tensor) -> Tensor:
    r"""Share of correct samples, elementwise.

    .. math:: \mathrm{acc}_g = \frac{1}{n_g} \sum_{i: g_i = g} 1[\hat y_i = y_i]

    Args:
        correct: integer tensor of any shape, number of correct samples.
        total: same shape, number of samples.

    Returns:
        float64 in [0, 1], NaN where ``total`` is 0.

    Differs from the reference: WILDS, torchmetrics and Group DRO report an empty group as 0 (and
    Group DRO counts it as the worst).
    """
    return correct.double() / total.double()


def mean_accuracy(accuracies: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Weighted mean of the defined accuracies of groups or classes.

    .. math:: \frac{\sum_{g: n_g > 0} w_g\, \mathrm{acc}_g}{\sum_{g: n_g > 0} w_g}

    The weights determine the result. Equal weights of groups give the group-balanced ("unbiased")
    accuracy, and of classes the class-balanced one. Training frequencies give the adjusted average.
    A 0/1 mask gives the mean over bias-aligned or bias-conflicting groups.

    Source: adjusted average: Sagawa et al., ICLR 2020 (Waterbirds, whose test split is balanced by
    design); group-balanced: Nam et al., "Learning from Failure", NeurIPS 2020.

    Args:
        accuracies: ``(G,)`` float64, NaN where undefined.
        weights: ``(G,)``, not negative, or ``None`` for equal weights.

    Returns:
        Scalar float64; NaN if no defined group has a positive weight.

    Differs from the reference: WILDS keeps the weight of an empty group and counts its accuracy as
    0. In Learning from Failure an empty group makes the mean NaN.

    Example:
        >>> mean_accuracy(torch.tensor([0.75, 0.25, torch.nan]), torch.tensor([3, 1, 6])).item()
        0.625
    """
    defined = ~accuracies.isnan()
    weights = defined.double() if weights is None else torch.where(defined, weights.double(), 0.0)
    return (weights * accuracies.double().nan_to_num()).sum() / weights.sum()


def least(values: Tensor) -> Tensor:
    """Smallest value over the last dimension, ignoring NaN; NaN if every value is NaN.

    The smallest group accuracy is the worst-group accuracy. As an estimate it is biased downwards,
    most for small groups: four groups of 20 samples, each with true accuracy 0.9, have an expected
    minimum of 0.83. Read it with ``worst_group_interval``.
    """
    defined = ~values.isnan()
    minimum = torch.where(defined, values, torch.inf).amin(dim=-1)
    return torch.where(defined.any(dim=-1), minimum, torch.nan)


def greatest(values: Tensor) -> Tensor:
    """Greatest value over the last dimension, ignoring NaN; NaN if every value is NaN."""
    return -least(-values)


def accuracy_gap(accuracies: Tensor) -> Tensor:
    """Greatest minus smallest group accuracy, ignoring NaN: a scalar, NaN if all are NaN."""
    return greatest(accuracies) - least(accuracies)


def difference_to_overall(rates: Tensor, overall: Tensor) -> Tensor:
    r"""Greatest difference between the rate of one group and the overall rate.

    .. math:: \max_k |r_k - r|

    Args:
        rates: ``(..., K)`` rate of each group or bias value; NaN is ignored.
        overall: ``(...)`` rate of all samples together.

    Returns:
        ``(...)``, NaN if every group rate is NaN.
    """
    return greatest((rates - overall[..., None]).abs())


def accuracy_ratio(accuracies: Tensor) -> Tensor:
    """Smallest group accuracy divided by the greatest, ignoring NaN: a scalar in [0, 1], ideal 1.

    NaN if all accuracies are NaN, or if the greatest is 0.

    Example:
        >>> accuracy_ratio(torch.tensor([0.5, 0.8, torch.nan])).item()
        0.625
    """
    return least(accuracies) / greatest(accuracies)


def class_difference(recalls: Tensor) -> Tensor:
    r"""Mean absolute difference of the recalls over all pairs of classes; in [0, 1], ideal 0.

    .. math:: \frac{2}{C (C - 1)} \sum_{i<j} |r_i - r_j|

    It is also 0 if all recalls are equally low.

    Source: Li, Liu, Hu, "Bias Amplification Enhances Minority Group Performance" (ClassDiff), TMLR
    2024, where it selects an epoch without bias labels; reference code motivationss/BAM.

    Args:
        recalls: ``(C,)`` float. A class whose recall is NaN is in no pair.

    Returns:
        Scalar float64; 0 if one recall is defined, NaN if none is.

    Differs from the reference: Yang et al., "Change is Hard", ICML 2023 (SubpopBench), sum over the
    pairs.

    Example:
        >>> recalls = torch.tensor([0.9, 0.5, 0.6])
        >>> round(class_difference(recalls).item(), 6)  # (0.4 + 0.3 + 0.1) / 3
        0.266667
    """
    defined = recalls[~recalls.isnan()].double()
    # blocks of 2,048 classes bound the memory: ten thousand at once take more than a gigabyte
    blocks = [(block[:, None] - defined).abs().sum() for block in torch.split(defined, 2048)]
    pairs = len(defined) * (len(defined) - 1) // 2
    mean_difference = torch.stack(blocks).sum() / 2 / max(1, pairs)
    return mean_difference if len(defined) else defined.new_tensor(torch.nan)


def group_scalars(
    counts: Tensor | Margins, groups: Groups, train_frequencies: Tensor | None = None
) -> dict[str, Tensor]:
    """Accuracies of each group and class, and their aggregates.

    ``debias.metrics.descriptions`` explains each key. The keys depend on the groups only.

    Args:
        counts: result of ``margin_counts`` or ``joint_counts``.
        groups: names and numbering of the groups.
        train_frequencies: ``(groups.count,)`` training samples of each group, the weights of
            ``adjusted_average``.

    Returns:
        float64 scalars by key. ``adjusted_average`` is present if frequencies are given. The
        ``bias_*`` keys are present if ``groups.aligned`` is not empty. If there are several bias
        attributes, ``OF_ATTRIBUTE`` are also given for each alone, as in ``worst_group/place``. A
        value is NaN only if no sample defines it.
    """
    tally = group_tally(counts)
    by_group, by_class = accuracy(*tally), accuracy(*class_tally(counts))
    average, worst = accuracy(*total_tally(counts)), least(by_group)
    scalars = {"average": average}
    if train_frequencies is not None:
        scalars["adjusted_average"] = mean_accuracy(by_group, train_frequencies.to(by_group))
    scalars |= {
        "worst_group": worst,
        "worst_class": least(by_class),
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
    scalars |= {
        f"class_accuracy/{name}": v for name, v in zip(groups.target_names, by_class, strict=True)
    }
    for name, facts in each_alone(counts, groups, train_frequencies):
        own = group_scalars(*facts)
        scalars |= {f"{key}/{name}": own[key] for key in OF_ATTRIBUTE if key in own}
    return scalars


def group_report(
    counts: Tensor | Margins, groups: Groups, train_frequencies: Tensor | None = None
) -> dict[str, Any]:
    """The entry of ``report.json`` for one split: scalars, intervals, one row per group and class.

    Args:
        counts, groups, train_frequencies: as in ``group_scalars``.

    Returns:
        ``{"scalars": {key: float}, "intervals": {"worst_group": [low, high], "worst_class": [low,
        high]}, "groups": [{"name", "accuracy", "count", "low", "high"}, ...], "classes": [...]}``
        with plain floats and ints, and ``None`` for NaN. All intervals have 95 % coverage. A single
        group or class has a Wilson interval; the worst one has the interval of
        ``worst_group_interval``. Classes count all images, groups only those of known bias. With
        several bias attributes, ``attributes`` has the entry of each attribute alone, with its
        ``name`` and without classes.
    """
    tallies = {"group": group_tally(counts), "class": class_tally(counts)}
    scalars = group_scalars(counts, groups, train_frequencies)
    attributes = [
        {"name": name, **group_report(*facts)}
        for name, facts in each_alone(counts, groups, train_frequencies)
    ]
    for entry in attributes:
        del entry["classes"]
    return {
        "scalars": {key: _plain(value.item()) for key, value in scalars.items()},
        "intervals": {
            f"worst_{kind}": [end.item() for end in worst_group_interval(*tally)]
            for kind, tally in tallies.items()
        },
        "groups": _rows(groups.names, tallies["group"]),
        "classes": _rows(groups.target_names, tallies["class"]),
        **({"attributes": attributes} if attributes else {}),
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
