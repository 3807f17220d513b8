"""How far a measured accuracy may be from the true one.

Other intervals of a proportion are ``scipy.stats.binomtest(k, n).proportion_ci(method=...)``.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError


class Interval(NamedTuple):
    """Lower and upper end, two float64 tensors of one shape."""

    low: Tensor
    high: Tensor


def wilson_interval(correct: Tensor, total: Tensor, *, level: float = 0.95) -> Interval:
    r"""Wilson score interval of a proportion, elementwise.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n},
              \qquad p = k/n, \quad z = \Phi^{-1}\big((1 + \mathrm{level})/2\big)

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA
    1927.

    Args:
        correct: any shape, integer k, how many were right.
        total: the same shape, n; [0, 1] where it is 0.
        level: coverage in (0, 1).

    Returns:
        Low and high, float64 in [0, 1]; exactly 0 where k = 0, exactly 1 where k = n.

    Raises:
        ValueError: ``level`` is not in (0, 1).

    Example:
        >>> low, high = wilson_interval(torch.tensor(50), torch.tensor(56))
        >>> round(low.item(), 4), round(high.item(), 4)
        (0.7853, 0.95)
    """
    _check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    k, n = correct.double(), total.double()
    centre = (k + z * z / 2) / (n + z * z)
    half = z * (k * (n - k) / n.clamp(min=1) + z * z / 4).sqrt() / (n + z * z)
    low = torch.where(correct == 0, 0.0, centre - half)
    high = torch.where(correct == total, 1.0, centre + half)
    return Interval(low, high)


def worst_group_interval(correct: Tensor, total: Tensor, *, level: float = 0.95) -> Interval:
    r"""Interval of the accuracy of the worst group, whichever that is.

    .. math:: \big[\min_g \mathrm{low}_g,\; \min_g \mathrm{high}_g\big]
              \quad\text{of Wilson intervals at } 1 - (1 - \mathrm{level})/G

    All G intervals hold at once with probability ``level`` (Bonferroni), and then the least true
    accuracy lies between the two minima. The interval of the group that happened to come out worst
    does not have this property.

    Args:
        correct: ``(G,)`` integer, how many were right in each group.
        total: ``(G,)``; an empty group is left out, and G counts the others.
        level: coverage in (0, 1).

    Returns:
        Two float64 scalars; [0, 1] if every group is empty.

    Raises:
        ValueError: ``level`` is not in (0, 1).
    """
    _check_level(level)
    known = total > 0
    tests = max(int(known.sum()), 1)
    low, high = wilson_interval(correct, total, level=1 - (1 - level) / tests)
    # an empty group's [0, 1] must not widen the result, unless there is nothing else
    return Interval(
        torch.where(known, low, 1.0).amin() * known.any(), torch.where(known, high, 1.0).amin()
    )


def percentile_interval(values: Tensor, *, level: float = 0.95) -> Interval:
    """Interval from the (1 - level)/2 to the (1 + level)/2 quantile of ``(B,)`` values."""
    _check_level(level)
    low, high = values.quantile(values.new_tensor([(1 - level) / 2, (1 + level) / 2]))
    return Interval(low, high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level={level} is a coverage: it must lie in (0, 1), such as 0.95")
