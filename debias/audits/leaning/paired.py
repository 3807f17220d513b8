"""The accuracy of one model on the same images under two conditions, with a paired interval."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.stats import binomtest

#: Standard normal quantile of a 95 % interval.
_Z = 1.959964

Right = NDArray[np.bool_]


class Change(NamedTuple):
    """Class-averaged accuracy before and after a change, and their paired difference.

    Attributes:
        before: accuracy on the untouched images.
        after: accuracy on the changed images.
        difference: ``after - before``.
        low: lower end of the 95 % interval of the difference.
        high: upper end of it.
        p_value: two-sided exact p-value of McNemar's test.
        images: number of images.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    p_value: float
    images: int


def class_average(right: Right, target: NDArray[np.int64]) -> float:
    """Mean over the classes of the share of right answers; ``(N,)`` both. NaN without an image."""
    shares = [float(right[target == one].mean()) for one in np.unique(target)]
    return float(np.mean(shares)) if shares else math.nan


def class_chance(target: NDArray[np.int64]) -> float:
    """:func:`class_average` of a model that always decides one of the classes that occur."""
    return 1 / len(np.unique(target))


def paired_change(before: Right, after: Right, target: NDArray[np.int64]) -> Change:
    r"""Compare right answers on N images with those on changed copies of the same images.

    In each class, b images become right and c become wrong. The difference is (b - c) / n, and its
    variance that of Agresti and Min with half an image added to each of the four cells:

    .. math:: \frac{(b^* + c^*) - (b^* - c^*)^2 / n^*}{n^{*2}},
              \qquad b^* = b + \tfrac12, \; c^* = c + \tfrac12, \; n^* = n + 2

    The classes have equal weight.

    Source: Agresti and Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 2005; McNemar, Psychometrika 1947.

    Args:
        before: ``(N,)`` bool, whether the untouched image is classified correctly.
        after: ``(N,)`` bool, the same for the changed image.
        target: ``(N,)`` int64 classes.
    """
    classes = np.unique(target)
    variance = sum(_variance(before[target == one], after[target == one]) for one in classes)
    half = _Z * math.sqrt(variance) / max(len(classes), 1)
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    p_value = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    first, second = class_average(before, target), class_average(after, target)
    change = second - first
    return Change(first, second, change, change - half, change + half, float(p_value), len(target))


def _variance(before: Right, after: Right) -> float:
    gained, lost = float((after & ~before).sum()) + 0.5, float((before & ~after).sum()) + 0.5
    size = len(before) + 2
    return ((gained + lost) - (gained - lost) ** 2 / size) / size**2


def class_interval(right: Right, target: NDArray[np.int64]) -> tuple[float, float]:
    """95 % interval of :func:`class_average`.

    The variance of each class is that of one more right and one more wrong image (Agresti and
    Caffo, "Simple and effective confidence intervals for proportions and differences of
    proportions", The American Statistician 2000).
    """
    classes = np.unique(target)
    variance = sum(_smoothed(right[target == one]) for one in classes)
    half = _Z * math.sqrt(variance) / len(classes)
    middle = class_average(right, target)
    return middle - half, middle + half


def _smoothed(right: Right) -> float:
    size = len(right) + 2
    share = (float(right.sum()) + 1) / size
    return share * (1 - share) / size


def agreement(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    r"""Cohen's kappa of two sequences of N decisions.

    .. math:: \kappa = (p_o - p_e) / (1 - p_e)

    with the observed and the expected share of equal decisions. Source: Cohen, "A coefficient of
    agreement for nominal scales", 1960.

    Returns:
        At most 1; 0 for independent decisions; NaN if both always decide the same one class.
    """
    names = np.union1d(first, second)
    observed = float((first == second).mean())
    expected = float(sum((first == name).mean() * (second == name).mean() for name in names))
    return (observed - expected) / (1 - expected) if expected < 1 else math.nan


def curve_area(heights: Sequence[float], places: Sequence[float]) -> float:
    """Area under a curve by the trapezoid rule, divided by the width of its range."""
    return float(trapezoid(heights, places)) / (places[-1] - places[0])
