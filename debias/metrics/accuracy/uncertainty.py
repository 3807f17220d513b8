"""Confidence intervals of accuracies.

For other intervals of a proportion use ``scipy.stats.binomtest(k, n).proportion_ci(method=...)``.
"""

from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError


class Interval(NamedTuple):
    """Lower and upper end of intervals: two float64 tensors of the same shape."""

    low: Tensor
    high: Tensor


def wilson_interval(correct: Tensor, total: Tensor, *, level: float = 0.95) -> Interval:
    r"""Wilson score interval of a proportion, elementwise.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n},
              \qquad p = k/n, \quad z = \Phi^{-1}\big((1 + \mathrm{level})/2\big)

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA
    1927.

    Args:
        correct: integer tensor of any shape: k, the number of correct samples.
        total: same shape: n, the number of samples. If it is 0, the interval is [0, 1].
        level: coverage in (0, 1).

    Returns:
        Low and high, float64 in [0, 1]. Low is exactly 0 if k = 0; high is exactly 1 if k = n.

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
    r"""Confidence interval of the true worst-group accuracy.

    .. math:: \big[\min_g \mathrm{low}_g,\; \min_g \mathrm{high}_g\big]
              \quad\text{of Wilson intervals at } 1 - (1 - \mathrm{level})/G

    With probability ``level``, all G Wilson intervals contain the true accuracy of their group at
    once (Bonferroni). The smallest true accuracy then lies between the two minima. The interval of
    the group with the lowest measured accuracy alone does not have this property.

    Args:
        correct: ``(G,)`` integer, number of correct samples in each group.
        total: ``(G,)`` number of samples in each group. Empty groups are left out of G.
        level: coverage in (0, 1).

    Returns:
        Two float64 scalars; [0, 1] if every group is empty.

    Raises:
        ValueError: ``level`` is not in (0, 1).
    """
    _check_level(level)
    nonempty = total > 0
    groups = max(int(nonempty.sum()), 1)
    low, high = wilson_interval(correct, total, level=1 - (1 - level) / groups)
    # the [0, 1] of an empty group must not widen the result, unless all groups are empty
    return Interval(
        torch.where(nonempty, low, 1.0).amin() * nonempty.any(),
        torch.where(nonempty, high, 1.0).amin(),
    )


def percentile_interval(values: Tensor, *, level: float = 0.95) -> Interval:
    """Interval between the (1 - level)/2 and (1 + level)/2 quantiles of ``(B,)`` values."""
    _check_level(level)
    low, high = values.quantile(values.new_tensor([(1 - level) / 2, (1 + level) / 2]))
    return Interval(low, high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), such as 0.95; got {level}")
