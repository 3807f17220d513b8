"""Every number of the fairness family, from one table; groups here are bias values."""

from __future__ import annotations

from itertools import product

from torch import Tensor

from debias.metrics.accuracy.counts import Margins, margin_counts
from debias.metrics.fairness.rates import (
    equalized_odds_difference,
    equalized_odds_mean,
    equalized_odds_ratio,
    greatest,
    group_rates,
    least,
    outcome_names,
    rate_difference,
    rate_ratio,
)
from debias.types import Groups


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
    every = differences | ratios
    worst = {
        f"worst_{key}": greatest(values) for key, values in differences.items() if len(values) > 1
    }
    worst |= {f"worst_{key}": least(values) for key, values in ratios.items() if len(values) > 1}
    return {key: values.nanmean() for key, values in every.items()} | worst


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
    columns = {
        "selection_rate": rates.selection,
        "true_positive_rate": rates.true_positive,
        "false_positive_rate": rates.false_positive,
        "precision": rates.precision,
    }
    cells = [
        f"{outcome}|{value}" for outcome, value in product(outcome_names(groups), groups.bias_names)
    ]
    found = {key: value.item() for key, value in fairness_scalars(counts, groups).items()}
    for name, values in columns.items():
        found |= {
            f"{name}/{cell}": value
            for cell, value in zip(cells, values.flatten().tolist(), strict=True)
        }
    names = cells if groups.multi_label else groups.bias_names
    accuracies = rates.accuracy.flatten().tolist()
    return found | {
        f"accuracy/{name}": value for name, value in zip(names, accuracies, strict=True)
    }
