"""Rates of each group of a bias attribute, and how far they lie apart: parity, opportunity, odds.

A rate without samples is NaN. Differences and ratios compare groups, so they need two groups that
are defined.
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
    """Right and wrong decisions on each outcome: four ``(outcomes, biases)`` int64 tensors."""

    true_positive: Tensor
    false_positive: Tensor
    false_negative: Tensor
    true_negative: Tensor


class Rates(NamedTuple):
    r"""Rates of each outcome within each bias, ``(outcomes, biases)`` in [0, 1] or NaN.

    Attributes:
        selection: :math:`P(\hat y = 1 \mid a)`.
        true_positive: :math:`P(\hat y = 1 \mid y = 1, a)`.
        false_positive: :math:`P(\hat y = 1 \mid y = 0, a)`.
        precision: :math:`P(y = 1 \mid \hat y = 1, a)`.
        accuracy: :math:`P(\hat y = y \mid a)`; with several classes ``(1, biases)``, as it is not
            one class's matter.
    """

    selection: Tensor
    true_positive: Tensor
    false_positive: Tensor
    precision: Tensor
    accuracy: Tensor


def outcome_names(groups: Groups) -> tuple[str, ...]:
    """What can be decided for or against: each class, each label, or the second of two classes."""
    return (
        groups.target_names[1::2] if groups.multi_label or groups.rows == 2 else groups.target_names
    )


def one_vs_rest(counts: Tensor | Margins, groups: Groups) -> Confusion:
    """Confusion of each outcome within each bias. Samples of unknown bias are left out.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them.
        groups: names and numbering of the groups.

    Returns:
        ``(outcomes, biases)`` int64 each, in the order of ``outcome_names``: every class against
        the others, the second of two classes (the first is its complement), or every label.
    """
    total, right, chosen = (part[:, :-1] for part in margins(counts))
    wrong, missed = chosen - right, total - right
    if groups.multi_label:
        return Confusion(right[1::2], wrong[1::2], missed[1::2], right[0::2])
    every = Confusion(right, wrong, missed, total.sum(dim=0) - right - wrong - missed)
    return Confusion(*(part[1:] for part in every)) if groups.rows == 2 else every


def confusion_rates(confusion: Confusion) -> Rates:
    """Rates of a confusion, elementwise: of each bias, or overall after a sum over biases."""
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
    """Rates of each outcome within each bias.

    Args:
        counts, groups: as in ``one_vs_rest``.

    Differs from the reference: fairlearn, oxonfair and torchmetrics call the true positive rate of
    a group without positives 0, which then looks like the worst violation; here it is NaN and takes
    part in no comparison.

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
    r"""Greatest minus least rate over the last dimension, :math:`\max_k r_k - \min_k r_k`.

    Of selection rates it is the demographic parity difference, of true positive rates equal
    opportunity, of precision predictive parity, of accuracy the accuracy disparity.

    Source: Dwork et al., ITCS 2012 (parity); Hardt et al., NeurIPS 2016 (opportunity, odds);
    Chouldechova, 2017 (predictive parity). As fairlearn's ``MetricFrame.difference``.

    Args:
        rates: ``(..., biases)`` float64, NaN where undefined.

    Returns:
        ``(...)`` float64 in [0, 1], 0 for equal treatment; NaN unless two groups are defined, since
        one cannot be compared.
    """
    low, high = _extremes(rates)
    return high - low


def rate_ratio(rates: Tensor) -> Tensor:
    """Least over greatest rate over the last dimension, in [0, 1] and 1 for equal treatment.

    NaN unless two groups are defined, and where all of them are 0. Of selection rates it is
    disparate impact.
    """
    low, high = _extremes(rates)
    return low / high


def equalized_odds_difference(rates: Rates) -> Tensor:
    r"""Greater difference of true and false positive rates, ``(outcomes,)`` in [0, 1]; 0 is fair.

    Where only one of the two can be compared it is that one, a lower bound; NaN where none can.
    """
    return greatest(torch.stack(_odds(rates, rate_difference), dim=-1))


def equalized_odds_mean(rates: Rates) -> Tensor:
    """Mean difference of true and false positive rates, ``(outcomes,)``; fairlearn's "mean".

    oxonfair calls this one equalized odds, aif360 average odds error. One that cannot be compared
    is left out.
    """
    return torch.stack(_odds(rates, rate_difference), dim=-1).nanmean(dim=-1)


def equalized_odds_ratio(rates: Rates) -> Tensor:
    """Lesser ratio of true and false positive rates, ``(outcomes,)`` in [0, 1]; 1 is fair.

    A ratio of 0 to 0, such as a perfect model's false positive rates, is left out.
    """
    return least(torch.stack(_odds(rates, rate_ratio), dim=-1))


def fairness_scalars(counts: Tensor | Margins, groups: Groups) -> dict[str, Tensor]:
    """The scalars of the family ``FAIRNESS``, under keys that depend on the groups only.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them; unknown biases are left out.
        groups: names and numbering of the groups.

    Returns:
        float64 scalars in [0, 1]. With several outcomes (three classes or more, or two labels or
        more) a key holds the mean over the outcomes that are defined, and ``worst_`` before it the
        greatest difference or the least ratio. NaN where no outcome has two groups to compare.
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
    found = {key: values.nanmean() for key, values in (differences | ratios).items()}
    for worst, kind in ((greatest, differences), (least, ratios)):
        found |= {f"worst_{key}": worst(values) for key, values in kind.items() if len(values) > 1}
    return found


def fairness_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """``fairness_scalars`` and the rates behind them, as plain floats.

    Args:
        prediction, target, bias, groups: as in ``joint_counts``.

    Returns:
        The scalars, then ``selection_rate/<outcome>|<bias>`` and so on for each rate, outcome and
        bias (of the accuracy in single-label data ``accuracy/<bias>``); NaN where undefined.

    Raises:
        ValueError: a shape, dtype or value is not as ``joint_counts`` wants it.
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
    found = {key: value.item() for key, value in fairness_scalars(counts, groups).items()}
    for name, (places, values) in columns.items():
        for place, value in zip(places, values.flatten().tolist(), strict=True):
            found[f"{name}/{place}"] = value
    return found


def _odds(rates: Rates, compare: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    return compare(rates.true_positive), compare(rates.false_positive)


def _extremes(rates: Tensor) -> tuple[Tensor, Tensor]:
    comparable = (~rates.isnan()).sum(dim=-1) >= 2
    return torch.where(comparable, least(rates), torch.nan), torch.where(
        comparable, greatest(rates), torch.nan
    )
