"""Cross-fitted probes: how well a class is recognised on rows that the probe has not seen."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from debias.metrics.accuracy.uncertainty import percentile_interval
from debias.metrics.leakage.artifacts import resampled_auroc
from debias.metrics.scores.ranking import auroc

Numbers = NDArray[np.float32]
Scores = NDArray[np.float64]
Rows = NDArray[np.int64]

FOLDS = 5
#: Directions that are kept of features with few rows per feature.
DIRECTIONS = 256
#: Bootstrap samples of an interval.
RESAMPLES = 500
#: Shuffles of the classes of units.
SHUFFLES = 200


class Measured(NamedTuple):
    """A number with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class CueProbe(NamedTuple):
    """A linear classifier of numbers.

    Attributes:
        weight: ``(C, d)`` float64.
        bias: ``(C,)`` float64; minus infinity for a class that the probe never saw.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def scores(self, numbers: Numbers) -> Scores:
        """``(N, C)`` probabilities of ``(N, d)`` numbers."""
        logits = numbers.astype(np.float64) @ self.weight.T + self.bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


class PrincipalSpace(NamedTuple):
    """Standardised numbers, reduced to their principal directions.

    Attributes:
        mean: ``(d,)`` float64 mean of each number.
        scale: ``(d,)`` float64 standard deviation; infinity for a constant number.
        directions: ``(d, k)`` float64 orthonormal columns, or ``None`` for all numbers.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    directions: NDArray[np.float64] | None

    def of(self, numbers: Numbers) -> NDArray[np.float64]:
        """``(N, k)`` float64 coordinates of ``(N, d)`` numbers."""
        values = (numbers.astype(np.float64) - self.mean) / self.scale
        return values if self.directions is None else values @ self.directions


def unit_folds(unit: Rows, target: Rows, rank: Rows, *, folds: int = FOLDS) -> Rows:
    """Deal units to folds, so that rows of one unit share a fold and classes are spread evenly.

    Args:
        unit: ``(N,)`` number of the unit of each row: a set of duplicates, a patient.
        target: ``(N,)`` classes. A unit counts for the class of its first row in ``rank``.
        rank: ``(N,)`` distinct numbers that order the rows. Let them depend on names and a seed, so
            that the order of the table does not matter.
        folds: number of folds.

    Returns:
        ``(N,)`` fold of each row, in [0, folds).

    Example:
        >>> unit, target = np.array([0, 0, 1, 2, 3]), np.array([0, 0, 0, 1, 1])
        >>> unit_folds(unit, target, np.arange(5), folds=2).tolist()
        [0, 0, 1, 0, 1]
    """
    in_order = np.argsort(rank, kind="stable")
    _, first, member = np.unique(unit[in_order], return_index=True, return_inverse=True)
    by_class = np.lexsort((first, target[in_order][first]))
    fold_of_unit = np.empty(len(first), np.int64)
    fold_of_unit[by_class] = np.arange(len(first)) % folds
    fold = np.empty(len(unit), np.int64)
    fold[in_order] = fold_of_unit[member]
    return fold


def shuffled_labels(label: Rows, unit: Rows, generator: np.random.Generator, *, count: int) -> Rows:
    """Labels dealt to the rows at random ``count`` times. Those of a unit stay together.

    Each unit gets the labels of another one. If that one is smaller, they are repeated; if it is
    larger, a part of them is taken. The number of rows with a label may then change.

    Args:
        label: ``(N,)`` labels.
        unit: ``(N,)`` number of the unit of each row.
        generator: source of randomness.
        count: number B of shuffles.

    Returns:
        ``(B, N)`` labels.
    """
    _, member, size = np.unique(unit, return_inverse=True, return_counts=True)
    if len(size) == len(label):
        return np.stack([generator.permutation(label) for _ in range(count)])
    order, start = np.argsort(member, kind="stable"), np.cumsum(size) - size
    place = np.empty(len(label), np.int64)
    place[order] = np.arange(len(label)) - start[member[order]]
    shuffled = np.empty((count, len(label)), label.dtype)
    for row in shuffled:
        other = generator.permutation(len(size))[member]
        begin = generator.integers(len(label), size=len(size))[member]
        row[:] = label[order[start[other] + (place + begin) % size[other]]]
    return shuffled


def principal_space(numbers: Numbers) -> PrincipalSpace:
    """Standardise numbers, and find 256 principal directions if there are fewer than 4 rows each.

    Args:
        numbers: ``(N, d)`` finite.
    """
    values = numbers.astype(np.float64)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)  # a constant number says nothing
    return PrincipalSpace(mean, scale, _directions((values - mean) / scale))


def fitted_probe(
    numbers: Numbers, target: Rows, *, classes: int, space: PrincipalSpace | None = None
) -> CueProbe:
    """Logistic regression with C = 1 in a principal space, every class with the same weight.

    Args:
        numbers: ``(N, d)`` finite.
        target: ``(N,)`` in [0, classes). A class without a row gets probability 0.
        classes: number of classes C.
        space: the space; by default, :func:`principal_space` of these numbers.
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale, directions = own = space or principal_space(numbers)
    reduced = own.of(numbers)
    weight, bias = np.zeros((classes, reduced.shape[1])), np.full(classes, -np.inf)
    present = np.unique(target)
    bias[present] = 0
    if len(present) > 1:
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=300, tol=1e-3)
        model.fit(reduced, target)
        two = len(present) == 2
        weight[present] = np.vstack([-model.coef_, model.coef_]) / 2 if two else model.coef_
        bias[present] = np.r_[-model.intercept_, model.intercept_] / 2 if two else model.intercept_
    weight = (weight if directions is None else weight @ directions.T) / scale
    return CueProbe(weight, bias - weight @ mean)


def cross_fitted(
    numbers: Numbers,
    target: Rows,
    fold: Rows,
    *,
    classes: int,
    space: PrincipalSpace | None = None,
) -> Scores:
    """``(N, classes)`` probabilities of each row by a probe that was fitted on the other folds.

    Args:
        numbers: ``(N, d)`` finite.
        target: ``(N,)`` in [0, classes).
        fold: ``(N,)`` fold of each row.
        classes: number of classes.
        space: the space of all probes, which may be that of all rows: it reads no target. By
            default, each probe has that of its own rows.
    """
    scores = np.zeros((len(target), classes))
    for one in np.unique(fold):
        inside = fold == one
        probe = fitted_probe(numbers[~inside], target[~inside], classes=classes, space=space)
        scores[inside] = probe.scores(numbers[inside])
    return scores


def class_aurocs(scores: Scores, target: Rows) -> NDArray[np.float64]:
    """``(C,)`` AUROC of each class against the others; NaN for a class without rows."""
    columns = torch.from_numpy(scores)
    return np.array(
        [auroc(columns[:, c], torch.from_numpy(target == c)) for c in range(scores.shape[1])]
    )


def macro_auroc(scores: Scores, target: Rows, *, seed: int) -> Measured:
    """Mean AUROC of the classes, with a 95 % interval.

    Two classes have the same AUROC, and a bootstrap that is stratified by class. More classes have
    the interval of :func:`several_aurocs`.
    """
    areas = class_aurocs(scores, target)
    known = np.flatnonzero(~np.isnan(areas))
    if not len(known):
        return Measured(math.nan, math.nan, math.nan)
    if len(known) > 2:
        return several_aurocs(scores, target)
    drawn = resampled_auroc(
        torch.from_numpy(scores[:, known[0]]),
        torch.from_numpy(target == known[0]),
        generator=torch.Generator().manual_seed(seed),
        resamples=RESAMPLES,
    )
    low, high = percentile_interval(drawn)
    return Measured(float(areas[known].mean()), float(low), float(high))


def several_aurocs(scores: Scores, target: Rows) -> Measured:
    r"""Mean AUROC of three or more classes, each against the others, with a 95 % interval.

    A row is a positive of its own class and a negative of the others, so that the AUROCs are
    dependent. With placements :math:`v_{ic}` (for a positive of class c, the share of the negatives
    below it; for a negative, the share of the positives above it), the influence of row i is

    .. math:: h_i = \frac1C \sum_c \frac{v_{ic} - A_c}{n_{ic}}

    with :math:`n_{ic}` positives or negatives. The variance is the sum over the classes k of
    :math:`n_k` times the variance of h in k. The interval is that of the normal distribution.

    Source: DeLong et al., "Comparing the Areas under Two or More Correlated Receiver Operating
    Characteristic Curves", Biometrics 1988, for the mean over classes.

    Args:
        scores: ``(N, C)``.
        target: ``(N,)`` with at least two classes.
    """
    from scipy.stats import rankdata

    present, influence, areas = np.unique(target), np.zeros(len(target)), []
    for one in present:
        hit, column = target == one, scores[:, one]
        rank, count = rankdata(column), (int((target != one).sum()), int((target == one).sum()))
        above = (rank[hit] - rankdata(column[hit])) / count[0]
        below = 1 - (rank[~hit] - rankdata(column[~hit])) / count[1]
        areas.append(float(above.mean()))
        influence[hit] += (above - areas[-1]) / count[1]
        influence[~hit] += (below - areas[-1]) / count[0]
    parts = [influence[target == one] / len(present) for one in present]
    variance = sum(part.var() * len(part) ** 2 / max(len(part) - 1, 1) for part in parts)
    value, half = float(np.mean(areas)), 1.959964 * math.sqrt(variance)
    return Measured(value, max(value - half, 0.0), min(value + half, 1.0))


def auroc_p_value(
    scores: Scores, target: Rows, *, folds: int = 1, unit: Rows | None = None
) -> float:
    r"""One-sided p-value of the mean AUROC, if the classes were dealt to the rows at random.

    The mean AUROC is a sum :math:`\sum_i a_{i, y_i}` with
    :math:`a_{ic} = r_{ic} / (C n_c (N - n_c))` and r the rank of row i in the scores of class c.
    Over all orders of y its variance is
    :math:`\frac{1}{N - 1} \sum_i \sum_c n_c d_{ic}^2`, with d doubly centred a. The p-value is that
    of the normal distribution.

    Cross-fitted scores of K folds vary more, because the probes share most of their rows. The
    variance is then multiplied by :math:`1 + K / (K - 1)`, the correction of Nadeau and Bengio. In
    noise, the standard deviation was 1.3 times that of fixed scores, and the factor gives 1.5.

    If units have several rows, their classes are dealt to whole units. The variance is then that of
    200 shuffles; see :func:`shuffled_labels`.

    Source: Hoeffding, "A Combinatorial Central Limit Theorem", 1951. With two classes and one fold
    this is the test of Wilcoxon and Mann-Whitney with ties. Nadeau and Bengio, "Inference for the
    Generalization Error", Machine Learning 2003.

    Args:
        scores: ``(N, C)``.
        target: ``(N,)``.
        folds: number of folds of cross-fitted scores; 1 for scores of a fixed function.
        unit: ``(N,)`` number of the unit of each row. By default, the rows are independent.

    Returns:
        In [0, 1]; 1 if there is nothing to rank.

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
        >>> round(auroc_p_value(scores, np.array([0, 0, 1, 1])), 4)  # z = 0.5 / sqrt(5 / 48)
        0.0607
    """
    from scipy.stats import norm, rankdata

    count = np.bincount(target, minlength=scores.shape[1])
    known = (count > 0) & (count < len(target))
    if not known.any():
        return 1.0
    n = count[known]
    ranks = rankdata(scores[:, known], axis=0)
    if unit is not None and len(np.unique(unit)) < len(unit):
        variance = _variance_by_unit(ranks, np.flatnonzero(known), target, unit)
    else:
        entry = ranks / (known.sum() * n * (len(target) - n))
        share = n / len(target)  # absent classes have no weight
        centred = entry - entry.mean(axis=0)
        centred -= (centred * share).sum(axis=1, keepdims=True)
        variance = float((centred**2 * n).sum() / (len(target) - 1))
    if folds > 1:
        variance *= 1 + folds / (folds - 1)
    excess = float(np.nanmean(class_aurocs(scores, target)) - 0.5)
    return float(norm.sf(excess / math.sqrt(variance))) if variance > 0 else 1.0


def _variance_by_unit(ranks: Scores, classes: Rows, target: Rows, unit: Rows) -> float:
    """Variance of the mean AUROC if the classes are dealt to whole units; ``(N, K)`` ranks."""
    shuffled = shuffled_labels(target, unit, np.random.default_rng(0), count=SHUFFLES)
    areas = []
    for one, rank in zip(classes, ranks.T, strict=True):
        hit = shuffled == one
        count = hit.sum(axis=1)
        pairs = count * (len(target) - count)
        won = hit @ rank - count * (count + 1) / 2
        areas.append(np.divide(won, pairs, out=np.full(SHUFFLES, 0.5), where=pairs > 0))
    return float(((np.mean(areas, axis=0) - 0.5) ** 2).mean())


def balanced_accuracy(scores: Scores, target: Rows) -> float:
    """Mean recall over the classes that occur.

    Example:
        >>> balanced_accuracy(np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]]), np.array([0, 0, 1]))
        0.5
    """
    correct = scores.argmax(axis=1) == target
    return float(np.mean([correct[target == c].mean() for c in np.unique(target)]))


def recovered(accuracy: float, full: float, *, classes: int) -> float:
    r"""Share of what the whole image tells that a cue tells too.

    .. math:: \frac{a - 1/C}{a_\mathrm{full} - 1/C}

    Args:
        accuracy: balanced accuracy of the cue.
        full: balanced accuracy of the whole image.
        classes: number of classes C.

    Returns:
        0 if the whole image is at chance or below.

    Example:
        >>> round(recovered(0.75, 0.95, classes=2), 4)
        0.5556
    """
    room = full - 1 / classes
    return (accuracy - 1 / classes) / room if room > 0 else 0.0


def recovered_interval(scores: Scores, full: Scores, target: Rows, *, seed: int) -> Measured:
    """:func:`recovered` of two cross-fitted probes, with a paired bootstrap within each class."""
    rng = np.random.default_rng(seed)
    right = np.stack([scores.argmax(axis=1) == target, full.argmax(axis=1) == target])
    present = np.unique(target)
    recalls = []
    for c in present:
        pattern = np.bincount(right[:, target == c].T @ [1, 2], minlength=4)
        drawn = rng.multinomial(pattern.sum(), pattern / pattern.sum(), size=RESAMPLES)
        recalls.append(
            np.stack([drawn[:, 1] + drawn[:, 3], drawn[:, 2] + drawn[:, 3]])
            / len(target[target == c])
        )
    accuracies = np.mean(recalls, axis=0)
    sample = [recovered(one, whole, classes=len(present)) for one, whole in accuracies.T]
    low, high = np.quantile(sample, [0.025, 0.975])
    value = recovered(
        balanced_accuracy(scores, target), balanced_accuracy(full, target), classes=len(present)
    )
    return Measured(value, float(low), float(high))


def _directions(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """``(d, 256)`` principal directions of standardised rows; ``None`` if they are not reduced."""
    from scipy.linalg import eigh

    rows, size = values.shape
    if size <= DIRECTIONS or rows >= 4 * size:
        return None
    smaller = values @ values.T if rows < size else values.T @ values
    ends = max(len(smaller) - DIRECTIONS, 0), len(smaller) - 1
    _, vectors = eigh(smaller, subset_by_index=ends)
    if rows >= size:
        return np.asarray(vectors)
    largest = values.T @ vectors
    return np.asarray(largest / np.maximum(np.linalg.norm(largest, axis=0), 1e-12))
