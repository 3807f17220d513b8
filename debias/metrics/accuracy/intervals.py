"""How far a measured accuracy may be from the true one: intervals and bootstrap."""

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


def agresti_coull_interval(correct: Tensor, total: Tensor, *, level: float = 0.95) -> Interval:
    r"""Agresti-Coull interval: Wilson's centre, with the width of a normal approximation.

    .. math:: \tilde p \pm z \sqrt{\tilde p (1 - \tilde p) / (n + z^2)},
              \qquad \tilde p = \frac{k + z^2/2}{n + z^2}

    Source: Agresti & Coull, "Approximate is better than 'exact'", The American Statistician 1998.

    Args:
        correct, total, level: as in ``wilson_interval``.

    Returns:
        Low and high, float64, clipped to [0, 1]; never narrower than Wilson's.

    Raises:
        ValueError: ``level`` is not in (0, 1).
    """
    _check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    size = total.double() + z * z
    centre = (correct.double() + z * z / 2) / size
    half = z * (centre * (1 - centre) / size).sqrt()
    return Interval((centre - half).clamp(min=0), (centre + half).clamp(max=1))


def corrected_wilson_interval(correct: Tensor, total: Tensor, *, level: float = 0.95) -> Interval:
    r"""Wilson's interval with correction for continuity: all p with
    :math:`|k - np| - 1/2 \le z \sqrt{np(1-p)}`.

    Source: Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in
    Medicine 1998.

    Args:
        correct, total, level: as in ``wilson_interval``, than whose its result is wider.

    Returns:
        Low and high, float64 in [0, 1]; 0 where k = 0, 1 where k = n.

    Raises:
        ValueError: ``level`` is not in (0, 1).
    """
    _check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    k, n = correct.double(), total.double()
    ends = []
    for sign in (-1, 1):
        share = (k + sign / 2) / n.clamp(min=1)
        root = (z * z / 4 + n * share * (1 - share)).clamp(min=0).sqrt()
        ends.append((k + sign / 2 + z * z / 2 + sign * z * root) / (n + z * z))
    return Interval(
        torch.where(correct == 0, 0.0, ends[0]), torch.where(correct == total, 1.0, ends[1])
    )


def normal_interval(correct: Tensor, total: Tensor, *, level: float = 0.95) -> Interval:
    r"""Wald's interval :math:`p \pm z \sqrt{p(1-p)/n}`, to compare with: it is a point at k = 0 and
    k = n.

    Args:
        correct, total, level: as in ``wilson_interval``, which is to be preferred.

    Returns:
        Low and high, float64, clipped to [0, 1]; [0, 1] where n = 0.

    Raises:
        ValueError: ``level`` is not in (0, 1).
    """
    _check_level(level)
    n = total.double().clamp(min=1)
    share = correct.double() / n
    half = torch.where(
        total > 0, NormalDist().inv_cdf((1 + level) / 2) * (share * (1 - share) / n).sqrt(), 1.0
    )
    return Interval((share - half).clamp(min=0), (share + half).clamp(max=1))


def clopper_pearson_interval(correct: Tensor, total: Tensor, *, level: float = 0.95) -> Interval:
    r"""Exact interval: the p for which no more than (1 - level)/2 of the binomial lies on either
    side of k.

    .. math:: \big[B_{(1 - \mathrm{level})/2}(k, n - k + 1),\;
              B_{(1 + \mathrm{level})/2}(k + 1, n - k)\big]
              \quad\text{of beta quantiles } B

    Source: Clopper & Pearson, Biometrika 1934. Needs SciPy.

    Args:
        correct, total, level: as in ``wilson_interval``.

    Returns:
        Low and high, float64 in [0, 1], of coverage at least ``level`` for every p; 0 where k = 0,
        1 where k = n.

    Raises:
        ValueError: ``level`` is not in (0, 1).
    """
    _check_level(level)
    k, n = correct.double(), total.double()
    low = torch.where(correct == 0, 0.0, _beta_quantile(k, n - k + 1, (1 - level) / 2))
    high = torch.where(correct == total, 1.0, _beta_quantile(k + 1, n - k, (1 + level) / 2))
    return Interval(low, high)


def jeffreys_interval(correct: Tensor, total: Tensor, *, level: float = 0.95) -> Interval:
    r"""Central interval of the posterior Beta(k + 1/2, n - k + 1/2) (Jeffreys). Needs SciPy.

    Source: Brown, Cai & DasGupta, "Interval Estimation for a Binomial Proportion", Statistical
    Science 2001.

    Args:
        correct, total, level: as in ``wilson_interval``.

    Returns:
        Low and high, float64 in (0, 1), and [0, 1] where n = 0.

    Raises:
        ValueError: ``level`` is not in (0, 1).

    Differs from the reference: the modification of Brown et al. at k = 0 and k = n is left out, as
    in statsmodels.
    """
    _check_level(level)
    k, n = correct.double() + 0.5, total.double() - correct.double() + 0.5
    low, high = (_beta_quantile(k, n, share) for share in ((1 - level) / 2, (1 + level) / 2))
    return Interval(torch.where(total == 0, 0.0, low), torch.where(total == 0, 1.0, high))


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


def resampled_worst_group(
    correct: Tensor, total: Tensor, *, generator: torch.Generator, resamples: int = 9999
) -> Tensor:
    r"""Worst-group accuracy of bootstrap samples drawn inside each group.

    Drawing :math:`n_g` outcomes with replacement from group g and counting the right ones is one
    draw of :math:`\mathrm{Binomial}(n_g, k_g / n_g)`, so that no sample is ever copied.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993 (stratified,
    nonparametric).

    Args:
        correct: ``(G,)`` integer, how many were right in each group.
        total: ``(G,)``; an empty group is left out.
        generator: source of randomness, on the device of the counts.
        resamples: how many bootstrap samples.

    Returns:
        ``(resamples,)`` float64; NaN if every group is empty.
    """
    known = total > 0
    n, k = total[known].double(), correct[known].double()
    if not len(n):
        return torch.full((resamples,), torch.nan, dtype=torch.float64)
    draws = torch.binomial(
        n.expand(resamples, -1), (k / n).expand(resamples, -1), generator=generator
    )
    return (draws / n).amin(dim=1)


def resampled_rows(group: Tensor, *, generator: torch.Generator) -> Tensor:
    """Rows of one bootstrap sample drawn inside each group, for areas under curves and such.

    Args:
        group: ``(N,)`` integer group of each row; negative numbers are groups as well.
        generator: source of randomness, on the CPU.

    Returns:
        ``(N,)`` int64 rows with repeats, as many of each group as there are.
    """
    place: Tensor
    sizes: Tensor
    _, place, sizes = torch.unique(group.cpu(), return_inverse=True, return_counts=True)
    order = place.argsort(stable=True)
    starts = (sizes.cumsum(dim=0) - sizes).repeat_interleave(sizes)
    draws = torch.rand(
        len(group), dtype=torch.float64, generator=generator
    ) * sizes.repeat_interleave(sizes)
    return order[starts + draws.long()]


def percentile_interval(values: Tensor, *, level: float = 0.95) -> Interval:
    """Interval from the (1 - level)/2 to the (1 + level)/2 quantile of ``(B,)`` values."""
    _check_level(level)
    low, high = values.quantile(values.new_tensor([(1 - level) / 2, (1 + level) / 2]))
    return Interval(low, high)


def _beta_quantile(alpha: Tensor, beta: Tensor, share: float) -> Tensor:
    from scipy.special import betaincinv

    # where a parameter is 0 the caller knows the end
    found = betaincinv(
        alpha.clamp(min=0.5).numpy(force=True), beta.clamp(min=0.5).numpy(force=True), share
    )
    return torch.as_tensor(found, dtype=torch.float64, device=alpha.device)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level={level} is a coverage: it must lie in (0, 1), such as 0.95")
