"""Fairness: rates of each value of the bias attribute, and their differences and ratios.

A rate without samples is NaN. A difference or ratio needs two bias values whose rate is defined,
else it is NaN.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Margins, margin_counts, margins
from debias.metrics.accuracy.scalars import greatest, least
from debias.types import Groups


class Confusion(NamedTuple):
    """Confusion counts of each outcome and bias value: four ``(outcomes, biases)`` int64 tables."""

    true_positive: Tensor
    false_positive: Tensor
    false_negative: Tensor
    true_negative: Tensor


class Rates(NamedTuple):
    r"""Rates of each outcome within each bias value, ``(outcomes, biases)`` in [0, 1] or NaN.

    Attributes:
        selection: :math:`P(\hat y = 1 \mid a)`.
        true_positive: :math:`P(\hat y = 1 \mid y = 1, a)`.
        false_positive: :math:`P(\hat y = 1 \mid y = 0, a)`.
        precision: :math:`P(y = 1 \mid \hat y = 1, a)`.
        accuracy: :math:`P(\hat y = y \mid a)`. In :func:`group_rates` it is ``(1, biases)`` for
            single-label data, because it is one number for all classes.
    """

    selection: Tensor
    true_positive: Tensor
    false_positive: Tensor
    precision: Tensor
    accuracy: Tensor


def outcome_names(groups: Groups) -> tuple[str, ...]:
    """Names of the outcomes whose rates are compared.

    With two classes this is the second class. With more classes it is every class, and with several
    labels per image every label.
    """
    return (
        groups.target_names[1::2] if groups.multi_label or groups.rows == 2 else groups.target_names
    )


def one_vs_rest(counts: Tensor | Margins, groups: Groups) -> Confusion:
    """Confusion counts of each outcome within each bias value, without samples of unknown bias.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them.
        groups: names and numbering of the groups.

    Returns:
        ``(outcomes, biases)`` int64 each, in the order of ``outcome_names``: every class against
        the others, or every label. Of two classes there is only the second, because the first is
        its complement.
    """
    total, right, chosen = (part[:, :-1] for part in margins(counts))
    wrong, missed = chosen - right, total - right
    if groups.multi_label:
        return Confusion(right[1::2], wrong[1::2], missed[1::2], right[0::2])
    every = Confusion(right, wrong, missed, total.sum(dim=0) - right - wrong - missed)
    return Confusion(*(part[1:] for part in every)) if groups.rows == 2 else every


def confusion_rates(confusion: Confusion) -> Rates:
    """Rates from confusion counts, elementwise. For overall rates, sum the counts over biases."""
    tp, fp, fn, tn = (part.double() for part in confusion)
    total = tp + fp + fn + tn
    return Rates(
        selection=(tp + fp) / total,
        true_positive=tp / (tp + fn),
        false_positive=fp / (fp + tn),
        precision=tp / (tp + fp),
        accuracy=(tp + tn) / total,
    )


def group_rates(counts: Tensor | Margins, groups: Groups) -> Rates:
    """Rates of each outcome within each bias value, from counts of decisions.

    Args:
        counts, groups: as in ``one_vs_rest``.

    Differs from the reference: in fairlearn, oxonfair and torchmetrics the true positive rate of a
    group without positives is 0, which then looks like the worst violation. Here it is NaN, and
    comparisons leave it out.

    Example:
        >>> groups = Groups(("no", "yes"), ("left", "right"))
        >>> counts = torch.tensor([[[3, 1], [4, 0], [0, 0]], [[1, 3], [0, 0], [0, 0]]])
        >>> group_rates(counts, groups).true_positive.tolist()
        [[0.75, nan]]
    """
    rates = confusion_rates(one_vs_rest(counts, groups))
    if groups.multi_label:
        return rates
    total, right, _ = (part[:, :-1].sum(dim=0) for part in margins(counts))
    return rates._replace(accuracy=(right.double() / total)[None])


def rate_difference(rates: Tensor) -> Tensor:
    r"""Highest minus lowest rate over the last dimension, :math:`\max_k r_k - \min_k r_k`.

    For selection rates this is the demographic parity difference, for true positive rates equal
    opportunity, for precision predictive parity, and for accuracy the accuracy disparity.

    Source: Dwork et al., ITCS 2012 (parity); Hardt et al., NeurIPS 2016 (opportunity, odds);
    Chouldechova, 2017 (predictive parity). As fairlearn's ``MetricFrame.difference``.

    Args:
        rates: ``(..., biases)`` float64, NaN where undefined.

    Returns:
        ``(...)`` float64 in [0, 1], 0 for equal treatment. NaN if fewer than two rates are defined.
    """
    low, high = _extremes(rates)
    return high - low


def rate_ratio(rates: Tensor) -> Tensor:
    """Lowest divided by highest rate over the last dimension: in [0, 1], 1 for equal treatment.

    NaN if fewer than two rates are defined, or if all are 0. For selection rates this is the
    disparate impact.
    """
    low, high = _extremes(rates)
    return low / high


def equalized_odds_difference(rates: Rates) -> Tensor:
    r"""The greater of two differences, of true and of false positive rates; 0 is fair.

    Returns:
        ``(outcomes,)`` float64 in [0, 1]. If only one difference is defined, it is that one, a
        lower bound. NaN if none is.
    """
    return greatest(torch.stack(_odds(rates, rate_difference), dim=-1))


def equalized_odds_mean(rates: Rates) -> Tensor:
    """Mean of two differences, of true and of false positive rates: ``(outcomes,)`` float64.

    fairlearn has it under "mean", oxonfair as equalized odds, aif360 as average odds error. An
    undefined difference is left out.
    """
    return torch.stack(_odds(rates, rate_difference), dim=-1).nanmean(dim=-1)


def equalized_odds_ratio(rates: Rates) -> Tensor:
    """The lower of two ratios, of true and of false positive rates; 1 is fair.

    Returns:
        ``(outcomes,)`` float64 in [0, 1]. An undefined ratio is left out, such as that of a perfect
        model's false positive rates, which are all 0.
    """
    return least(torch.stack(_odds(rates, rate_ratio), dim=-1))


def fairness_scalars(counts: Tensor | Margins, groups: Groups) -> dict[str, Tensor]:
    """The differences and ratios of the family ``FAIRNESS``; its keys depend only on the groups.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them; samples of unknown bias do
            not count.
        groups: names and numbering of the groups.

    Returns:
        float64 scalars in [0, 1]. With several outcomes (three classes or more, or two labels or
        more) a key is the mean over the outcomes for which it is defined. The same key after
        ``worst_`` is the greatest difference or the lowest ratio. NaN if no outcome defines one.
        The accuracy of classes is one outcome.
    """
    rates = group_rates(counts, groups)
    differences = {
        "demographic_parity_difference": rate_difference(rates.selection),
        "equal_opportunity_difference": rate_difference(rates.true_positive),
        "equalized_odds_difference": equalized_odds_difference(rates),
        "equalized_odds_mean": equalized_odds_mean(rates),
        "predictive_parity_difference": rate_difference(rates.precision),
        "accuracy_difference": rate_difference(rates.accuracy),
    }
    ratios = {
        "demographic_parity_ratio": rate_ratio(rates.selection),
        "equal_opportunity_ratio": rate_ratio(rates.true_positive),
        "equalized_odds_ratio": equalized_odds_ratio(rates),
        "predictive_parity_ratio": rate_ratio(rates.precision),
        "accuracy_ratio": rate_ratio(rates.accuracy),
    }
    scalars = {key: values.nanmean() for key, values in (differences | ratios).items()}
    for worst, kind in ((greatest, differences), (least, ratios)):
        scalars |= {
            f"worst_{key}": worst(values) for key, values in kind.items() if len(values) > 1
        }
    return scalars


def fairness_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """The scalars of :func:`fairness_scalars` and the rates they compare, as plain floats.

    Args:
        prediction, target, bias, groups: as in ``joint_counts``.

    Returns:
        The scalars, then each rate under ``RATE/<outcome>|<bias>``, such as
        ``selection_rate/<outcome>|<bias>``. The accuracy of single-label data is under
        ``accuracy/<bias>``. NaN where undefined.

    Raises:
        ValueError: an argument has a shape, dtype or value that ``joint_counts`` does not allow.
    """
    counts = Margins(*(part.cpu() for part in margin_counts(prediction, target, bias, groups)))
    rates = group_rates(counts, groups)
    cells = [
        f"{outcome}|{value}" for outcome, value in product(outcome_names(groups), groups.bias_names)
    ]
    columns = {
        "selection_rate": (cells, rates.selection),
        "true_positive_rate": (cells, rates.true_positive),
        "false_positive_rate": (cells, rates.false_positive),
        "precision": (cells, rates.precision),
        "accuracy": (cells if groups.multi_label else groups.bias_names, rates.accuracy),
    }
    report = {key: value.item() for key, value in fairness_scalars(counts, groups).items()}
    for name, (places, values) in columns.items():
        for place, value in zip(places, values.flatten().tolist(), strict=True):
            report[f"{name}/{place}"] = value
    return report


def _odds(rates: Rates, compare: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    return compare(rates.true_positive), compare(rates.false_positive)


def _extremes(rates: Tensor) -> tuple[Tensor, Tensor]:
    comparable = (~rates.isnan()).sum(dim=-1) >= 2
    return torch.where(comparable, least(rates), torch.nan), torch.where(
        comparable, greatest(rates), torch.nan
    )
