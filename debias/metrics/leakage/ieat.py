"""The image embedding association test (iEAT) of two kinds of image with two attributes."""

import math
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError


class Association(NamedTuple):
    """Result of the iEAT: effect size in [-2, 2] and one-sided p-value, float64 scalars."""

    effect_size: Tensor
    p_value: Tensor


def associations(targets: Tensor, first: Tensor, second: Tensor) -> Tensor:
    r"""How much more similar each target is to the first attribute than to the second.

    .. math:: s(w) = \frac{1}{|A|} \sum_{a \in A} \cos(w, a)
              - \frac{1}{|B|} \sum_{b \in B} \cos(w, b)

    Args:
        targets: ``(N, D)`` features w.
        first, second: ``(|A|, D)`` and ``(|B|, D)`` features.

    Returns:
        ``(N,)`` float64 in [-2, 2], ideal 0. NaN for a zero vector. All NaN if an attribute is
        empty.
    """
    units = [_unit(side) for side in (targets, first, second)]
    return units[0] @ (units[1].mean(dim=0) - units[2].mean(dim=0))


def association_test(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, permutations: int = 10_000, seed: int = 0
) -> Association:
    r"""Test whether X is associated with attribute A and Y with attribute B.

    .. math:: d = \frac{\mathrm{mean}_{x \in X} s(x) - \mathrm{mean}_{y \in Y} s(y)}
              {\mathrm{std}_{w \in X \cup Y} s(w)}

    with the standard deviation of a sample (n - 1), and s as in :func:`associations`. The p-value
    considers all splits of X and Y together into equal halves. It is the share of them whose first
    half has a sum of s at least that of X; ties count.

    Source: Steed and Caliskan, "Image Representations Learned With Unsupervised Pre-Training
    Contain Human-like Biases", FAccT 2021; ryansteed/ieat and ryansteed/weat.

    Args:
        x, y: ``(|X|, D)`` and ``(|Y|, D)`` features of the two kinds of target image.
        a, b: ``(|A|, D)`` and ``(|B|, D)`` features of the two attributes.
        permutations: if there are at most this many splits, all are used. Otherwise
            ``permutations - 1`` are drawn at random, and the observed split is added.
        seed: seed of the draw.

    Returns:
        Effect size in [-2, 2], ideal 0, and p in (0, 1]. The effect size is NaN if s is constant or
        undefined. p is NaN if s is undefined, or if X and Y differ in size or are empty.

    Raises:
        ValueError: a set is not ``(n, D)``, D differs, or ``permutations`` is less than 1.

    Example:
        >>> x, y = torch.tensor([[1.0, 0.2], [0.9, 0.1]]), torch.tensor([[0.1, 1.0], [0.3, 0.8]])
        >>> result = association_test(x, y, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
        >>> round(result.effect_size.item(), 4), round(result.p_value.item(), 4)  # p = 1/6
        (1.7138, 0.1667)
    """
    if permutations < 1 or any(
        side.ndim != 2 or side.shape[1] != x.shape[1] for side in (x, y, a, b)
    ):
        shapes = [tuple(side.shape) for side in (x, y, a, b)]
        raise InputError(
            "the test needs four sets of features (n, D) and permutations >= 1; got sets of shapes "
            f"{shapes} and permutations={permutations}"
        )
    pool = associations(torch.cat((x, y)), a, b).cpu()
    effect = pool.new_tensor(math.nan)
    # differences from rounding alone count as constant
    if len(pool) > 1 and pool.max() - pool.min() > 1e-12:
        effect = (pool[: len(x)].mean() - pool[len(x) :].mean()) / pool.std(correction=1)
    return Association(effect, _p_value(pool, len(x), permutations, seed))


class EffectInterval(NamedTuple):
    """95 % interval of an effect size; NaN with fewer than four target images."""

    low: float
    high: float


def effect_interval(effect_size: float, x: int, y: int) -> EffectInterval:
    r"""95 % interval of the effect size d of :func:`association_test`, for other targets.

    d is a correlation r of s with the side of a target, in another unit. Fisher's transformation
    gives the interval of r, for N target images with share q in X:

    .. math:: r = d \sqrt{\frac{N q (1 - q)}{N - 1}}, \qquad
              \tanh\left(\operatorname{artanh} r \pm \frac{1.96}{\sqrt{N - 3}}\right)
              \Big/ \sqrt{q (1 - q)}

    Source: Fisher, "On the probable error of a coefficient of correlation", Metron 1921. In normal
    data with 4 to 30 images per side, 95 to 98 % of the intervals hold d. Of the intervals of a
    bootstrap, 74 to 94 % do.

    Args:
        effect_size: d, in [-2, 2].
        x, y: number of images of X and of Y.

    Example:
        >>> low, high = effect_interval(1.0, 10, 10)
        >>> round(low, 2), round(high, 2)
        (0.18, 1.56)
    """
    total = x + y
    if total < 4 or not x or not y or math.isnan(effect_size):
        return EffectInterval(math.nan, math.nan)
    spread = math.sqrt(x * y) / total
    r = effect_size * spread * math.sqrt(total / (total - 1))
    if abs(r) > 1 - 1e-12:  # the sides do not vary at all
        return EffectInterval(effect_size, effect_size)
    half = 1.959964 / math.sqrt(total - 3)
    low, high = (math.tanh(math.atanh(r) + shift) / spread for shift in (-half, half))
    return EffectInterval(min(low, effect_size), max(high, effect_size))


def _p_value(pool: Tensor, half: int, permutations: int, seed: int) -> Tensor:
    if len(pool) != 2 * half or half == 0 or bool(pool.isnan().any()):
        return pool.new_tensor(math.nan)
    exact = math.comb(2 * half, half) <= permutations
    sums = _every_half(pool, half) if exact else _random_halves(pool, half, permutations - 1, seed)
    # rounding, which depends on the order of a sum, must not break a tie
    hits = (sums >= pool[:half].sum() - 1e-12 * len(pool)).sum()
    return hits.double() / len(sums) if exact else (hits + 1).double() / permutations


def _every_half(pool: Tensor, half: int) -> Tensor:
    return pool[torch.tensor(list(combinations(range(len(pool)), half)))].sum(dim=1)


def _random_halves(pool: Tensor, half: int, draws: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    sums = [pool[torch.randperm(len(pool), generator=generator)[:half]].sum() for _ in range(draws)]
    return torch.stack(sums) if sums else pool.new_empty(0)


def _unit(features: Tensor) -> Tensor:
    features = features.double()
    length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / length
