"""The group accuracy family, from one table of counts. Empty groups are NaN, and aggregates leave
them out.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

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


def accuracy(correct: Tensor, total: Tensor) -> Tensor:
    r"""Fraction right, elementwise.

    .. math:: \mathrm{acc}_g = \frac{1}{n_g} \sum_{i: g_i = g} 1[\hat y_i = y_i]

    Args:
        correct: any shape, integer, how many were right.
        total: the same shape, how many there are.

    Returns:
        float64 in [0, 1], NaN where ``total`` is 0.

    Differs from the reference: WILDS, torchmetrics and Group DRO report an empty group as 0 (and
    Group DRO counts it as the worst).
    """
    return correct.double() / total.double()


def mean_accuracy(accuracies: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Weighted mean of group accuracies over the groups that are defined.

    .. math:: \frac{\sum_{g: n_g > 0} w_g\, \mathrm{acc}_g}{\sum_{g: n_g > 0} w_g}

    Equal weights over groups give the group-balanced ("unbiased") accuracy, over classes the
    class-balanced one; training frequencies give the adjusted average; a mask gives the
    bias-aligned or bias-conflicting group mean.

    Source: adjusted average: Sagawa et al., ICLR 2020 (Waterbirds, whose test split is balanced by
    design); group-balanced: Nam et al., "Learning from Failure", NeurIPS 2020.

    Args:
        accuracies: ``(G,)`` float64, NaN where undefined.
        weights: ``(G,)``, not negative, or ``None`` for equal weights.

    Returns:
        Scalar float64; NaN where no defined group has weight.

    Differs from the reference: WILDS keeps the weight of an empty group and counts it as accuracy
    0; Learning from Failure lets it turn the mean into NaN.

    Example:
        >>> mean_accuracy(torch.tensor([0.75, 0.25, torch.nan]), torch.tensor([3, 1, 6])).item()
        0.625
    """
    defined = ~accuracies.isnan()
    weights = defined.double() if weights is None else torch.where(defined, weights.double(), 0.0)
    return (weights * accuracies.double().nan_to_num()).sum() / weights.sum()


def least(values: Tensor) -> Tensor:
    """Least defined value over the last dimension; NaN if none is.

    The least accuracy of groups is the worst-group accuracy. It is biased downwards, most for small
    groups: four groups of 20 samples, each with true accuracy 0.9, have an expected minimum of
    0.83. Read it with ``worst_group_interval``.
    """
    defined = ~values.isnan()
    found = torch.where(defined, values, torch.inf).amin(dim=-1)
    return torch.where(defined.any(dim=-1), found, torch.nan)


def greatest(values: Tensor) -> Tensor:
    """Greatest defined value over the last dimension; NaN if none is."""
    return -least(-values)


def accuracy_gap(accuracies: Tensor) -> Tensor:
    """Greatest minus least accuracy of the defined groups: scalar, NaN if none is defined."""
    return greatest(accuracies) - least(accuracies)


def difference_to_overall(rates: Tensor, overall: Tensor) -> Tensor:
    r"""Greatest distance of a group from everyone, :math:`\max_k |r_k - r|`; ``(...)``, NaN if no
    group is defined.

    Args:
        rates: ``(..., biases)``.
        overall: ``(...)``, the rates of everyone.
    """
    return greatest((rates - overall[..., None]).abs())


def accuracy_ratio(accuracies: Tensor) -> Tensor:
    """Least over greatest accuracy of the defined groups: scalar in [0, 1], ideal 1; NaN if none is
    defined, or all 0.

    Example:
        >>> accuracy_ratio(torch.tensor([0.5, 0.8, torch.nan])).item()
        0.625
    """
    return least(accuracies) / greatest(accuracies)


def class_difference(recalls: Tensor) -> Tensor:
    r"""Mean over the pairs of classes of how far their recalls lie apart; in [0, 1], ideal 0.

    .. math:: \frac{2}{C (C - 1)} \sum_{i<j} |r_i - r_j|

    Classes that fare equally badly are as near as classes that fare equally well.

    Source: Li, Liu, Hu, "Bias Amplification Enhances Minority Group Performance" (ClassDiff), TMLR
    2024, which selects an epoch by it without bias labels; reference code motivationss/BAM.

    Args:
        recalls: ``(C,)`` float, NaN where undefined: such a class is in no pair.

    Returns:
        Scalar float64; 0 if one recall is defined, NaN if none is.

    Differs from the reference: Yang et al., "Change is Hard", ICML 2023 (SubpopBench), take the sum
    over the pairs.

    Example:
        >>> recalls = torch.tensor([0.9, 0.5, 0.6])
        >>> round(class_difference(recalls).item(), 6)  # (0.4 + 0.3 + 0.1) / 3
        0.266667
    """
    known = recalls[~recalls.isnan()].double()
    # one block up to 2,048 classes; ten thousand in one would take more than a gigabyte
    blocks = [(block[:, None] - known).abs().sum() for block in torch.split(known, 2048)]
    pairs = len(known) * (len(known) - 1) // 2
    apart = torch.stack(blocks).sum() / 2 / max(1, pairs)
    return apart if len(known) else known.new_tensor(torch.nan)


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
