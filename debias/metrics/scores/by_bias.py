"""AUROC, average precision, F1, Brier score and calibration of each bias value; worst and gap."""

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Margins, check_facts, margins
from debias.metrics.accuracy.scalars import greatest, least
from debias.metrics.fairness.rates import one_vs_rest, rate_difference
from debias.metrics.scores.calibration import (
    Reliability,
    by_bias,
    by_group,
    expected_calibration_error,
    maximum_calibration_error,
)
from debias.metrics.scores.ranking import (
    BorkanAUC,
    auroc,
    average_precision,
    borkan_auc,
    pair_wins,
    score_columns,
)
from debias.types import Groups


def f1_by_bias(counts: Tensor | Margins, groups: Groups) -> Tensor:
    r"""F1 of each outcome and bias value,
    :math:`2 \mathrm{TP} / (2 \mathrm{TP} + \mathrm{FP} + \mathrm{FN})`.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them.
        groups: names and numbering of the groups.

    Returns:
        ``(outcomes, biases)`` float64 in [0, 1], outcomes as in ``one_vs_rest``. An outcome that
        neither occurs nor is predicted has F1 0, so a mean over outcomes has the same outcomes for
        each bias value. NaN for a bias value without samples.
    """
    confusion = one_vs_rest(counts, groups)
    tp, fp, fn, tn = (part.double() for part in confusion)
    value = (2 * tp / (2 * tp + fp + fn)).nan_to_num()
    return torch.where(tp + fp + fn + tn > 0, value, torch.nan)


def f1_scalars(counts: Tensor | Margins, groups: Groups) -> dict[str, Tensor]:
    """F1 over all samples, of each bias value, of the worst one, and the gap; family ``SCORES``.

    Args:
        counts, groups: as in ``f1_by_bias``.
    """
    pooled = Margins(*map(_as_one_bias, margins(counts)))
    overall = f1_by_bias(pooled, groups).mean()
    return {"f1": overall} | _over_biases("f1", f1_by_bias(counts, groups), groups)


def ranking_scalars(
    scores: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, Tensor]:
    """AUROC and average precision of each bias value, and Borkan's AUROCs; family ``SCORES``.

    Args:
        scores: ``(N, outputs)`` float, usually probabilities; see ``score_columns``.
        target: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label.
        bias: ``(N,)`` integer in [0, biases), or -1 where unknown: such a sample counts only in the
            numbers over all samples.
        groups: names and numbering of the groups.

    Returns:
        float64 scalars in [0, 1]. With several classes, each is the mean over all classes, and NaN
        for a bias value that lacks a class. With several labels, it is the mean over the labels
        for which it is defined.

    Raises:
        ValueError: a shape or value is not as above, or a score is NaN.
    """
    check_facts(target, bias, groups)
    columns = list(zip(*score_columns(scores, target, groups), strict=True))
    areas = [borkan_auc(pair_wins(*column, bias, biases=groups.biases)) for column in columns]
    subgroup, bpsn, bnsp = BorkanAUC(*(torch.stack(part) for part in zip(*areas, strict=True)))
    precision = torch.stack(
        [precision_by_bias(*column, bias, biases=groups.biases) for column in columns]
    )
    overall = {
        "auroc": torch.stack([auroc(*column) for column in columns]),
        "average_precision": torch.stack([average_precision(*column) for column in columns]),
    }
    scalars = {name: _over_outcomes(values[:, None], groups)[0] for name, values in overall.items()}
    scalars |= _over_biases("auroc", subgroup, groups) | _over_biases(
        "average_precision", precision, groups
    )
    for name, values in (("bpsn_auc", bpsn), ("bnsp_auc", bnsp)):
        scalars |= _over_biases(name, values, groups)
    return scalars


def brier_by_bias(probabilities: Tensor, target: Tensor, bias: Tensor, groups: Groups) -> Tensor:
    r"""Brier score: mean squared error of each outcome's probability,
    :math:`\frac{1}{n_k} \sum_{i: a_i = k} (p_i - y_i)^2`.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950; for two
    classes scikit-learn's ``brier_score_loss``, half of Brier's sum over classes.

    Args:
        probabilities: ``(N, outputs)`` float in [0, 1].
        target, bias, groups: as in ``ranking_scalars``.

    Returns:
        ``(outcomes, biases)`` float64 in [0, 1], 0 ideal; NaN for a bias value without samples.

    Raises:
        ValueError: a shape or value is not as above.
    """
    check_facts(target, bias, groups)
    score, positive = score_columns(probabilities, target, groups)
    squares = (score - positive.double()).square()
    return torch.stack(
        [squares[:, bias == value].mean(dim=1) for value in range(groups.biases)], dim=1
    )


def brier_scalars(
    probabilities: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, Tensor]:
    """Brier score over all samples, of each bias value, of the worst one, and the gap.

    Args:
        probabilities, target, bias, groups: as in ``brier_by_bias``.
    """
    overall = brier_by_bias(probabilities, target, torch.zeros_like(bias), groups.classes).mean()
    return {"brier": overall} | _over_biases(
        "brier", brier_by_bias(probabilities, target, bias, groups), groups, higher=False
    )


def precision_by_bias(score: Tensor, positive: Tensor, bias: Tensor, *, biases: int) -> Tensor:
    """``(biases,)`` average precision within each bias value; NaN for one without positives."""
    slices = (bias == value for value in range(biases))
    return torch.stack([average_precision(score[inside], positive[inside]) for inside in slices])


def calibration_scalars(
    table: Reliability, groups: Groups, *, prefix: str = ""
) -> dict[str, Tensor]:
    """Expected and maximum calibration error, also of each bias value and group; family ``SCORES``.

    Args:
        table: sums of shape ``(rows, biases + 1, bins)``, as ``reliability`` returns them.
        groups: names and numbering of the groups.
        prefix: prefix of every key, for a second convention of confidence.

    Returns:
        float64 scalars in [0, 1], 0 ideal. With several labels, each is the mean over the labels
        for which it is defined.
    """
    pooled = Reliability(*(_as_one_bias(part) for part in table))
    scalars = {}
    for name, error in (("ece", expected_calibration_error), ("mce", maximum_calibration_error)):
        key, of_groups = f"{prefix}{name}", error(by_group(table))
        scalars[key] = error(by_bias(pooled, groups)).nanmean()
        scalars |= _over_biases(key, error(by_bias(table, groups)), groups, higher=False)
        scalars[f"worst_group_{key}"] = greatest(of_groups)
        scalars |= {
            f"group_{key}/{group}": value
            for group, value in zip(groups.names, of_groups, strict=True)
        }
    return scalars


def _over_biases(
    name: str, values: Tensor, groups: Groups, *, higher: bool = True
) -> dict[str, Tensor]:
    """Scalars of one measure: its worst bias value, the gap, and each bias value.

    Args:
        name: key of the measure.
        values: ``(outcomes, biases)``; averaged over the outcomes.
        groups: names and numbering of the groups.
        higher: whether higher values are better.

    Returns:
        The scalars; with several outcomes also ``worst_outcome_``, the worst of all ``values``.
    """
    worst, averages = least if higher else greatest, _over_outcomes(values, groups)
    scalars = {f"worst_{name}": worst(averages), f"{name}_gap": rate_difference(averages)}
    if len(values) > 1:
        scalars[f"worst_outcome_{name}"] = worst(values.flatten())
    return scalars | {
        f"{name}/{bias}": value for bias, value in zip(groups.bias_names, averages, strict=True)
    }


def _as_one_bias(table: Tensor) -> Tensor:
    """Pool a table over the bias values, unknown ones included; the last slot stays empty."""
    return torch.stack((table.sum(dim=1), torch.zeros_like(table[:, 0])), dim=1)


def _over_outcomes(values: Tensor, groups: Groups) -> Tensor:
    # means over different sets of classes are not comparable, but labels are separate tasks
    return values.nanmean(dim=0) if groups.multi_label else values.mean(dim=0)
