"""How well one property tells the class: cross-validated AUROC, information, and a rule to read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from debias.audits.cues.probing import SHUFFLES, several_aurocs, shuffled_labels
from debias.metrics.scores.ranking import auroc

Numbers = NDArray[np.float64]
Classes = NDArray[np.int64]

#: Depth of the tree of a property, so that a band of values is found too.
DEPTH = 3
#: Most categories of a text, the rarer ones together, and bins of a number.
CATEGORIES, BINS = 12, 8
RESAMPLES = 500


class PropertyRule(NamedTuple):
    """The best single threshold or category of a property.

    Attributes:
        target: the class that it tells.
        sign: ">", "<=" or "is".
        value: the threshold; of a text, the number of the category.
        precision: share of the class among the images that it fits.
        recall: share of the class that it fits.
        others: share of the other images that it fits.
    """

    target: int
    sign: str
    value: float
    precision: float
    recall: float
    others: float


def tree_scores(numbers: Numbers, target: Classes, fold: Classes, classes: int) -> Numbers:
    """Cross-fitted class probabilities by a tree of depth 3 on one number.

    Args:
        numbers: ``(N,)``; NaN is a value below all others.
        target: ``(N,)`` int64 in [0, classes).
        fold: ``(N,)`` int64 fold of each row. A row is scored by the tree of the other folds.
        classes: number of classes.

    Returns:
        ``(N, classes)`` float64; classes have the same weight.
    """
    from sklearn.tree import DecisionTreeClassifier

    known = np.where(np.isnan(numbers), np.finfo(np.float32).min, numbers)[:, None]
    known = np.ascontiguousarray(known, dtype=np.float32)  # as trees want it, so no check is needed
    scores = np.zeros((len(target), classes))
    for one in np.unique(fold):
        inside = fold == one
        leaf = max(5, int((~inside).sum() // 100))
        tree = DecisionTreeClassifier(
            max_depth=DEPTH, min_samples_leaf=leaf, class_weight="balanced", random_state=0
        )
        tree.fit(known[~inside], target[~inside], check_input=False)
        scores[np.ix_(inside, tree.classes_)] = tree.predict_proba(known[inside], check_input=False)
    return scores


def category_scores(code: Classes, target: Classes, fold: Classes, classes: int) -> Numbers:
    """Cross-fitted class probabilities by how often each class has a category.

    Args:
        code: ``(N,)`` int64 category of each row.
        target, fold, classes: as in :func:`tree_scores`.

    Returns:
        ``(N, classes)`` float64; classes have the same weight.
    """
    scores = np.zeros((len(target), classes))
    for one in np.unique(fold):
        inside = fold == one
        table = contingency(code[~inside], target[~inside], int(code.max()) + 1, classes)
        # the same small share of every class, so that a new category tells nothing
        share = table / np.maximum(table.sum(axis=0), 1) + classes / (2 * len(target))
        scores[inside] = (share / share.sum(axis=1, keepdims=True))[code[inside]]
    return scores


def contingency(code: Classes, target: Classes, codes: int, classes: int) -> NDArray[np.int64]:
    """``(codes, classes)`` int64 number of rows of each category and class."""
    return np.bincount(code * classes + target, minlength=codes * classes).reshape(codes, classes)


def binned(numbers: Numbers) -> Classes:
    """``(N,)`` int64 bin of each number, by quantiles; NaN has a bin of its own."""
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return np.zeros(len(numbers), np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    places = np.searchsorted(edges, numbers, side="left")
    return np.where(np.isnan(numbers), len(edges) + 1, places).astype(np.int64)


def coded(texts: NDArray[np.str_]) -> tuple[Classes, list[str]]:
    """``(N,)`` int64 category of each text, commonest first, and the names of the categories."""
    names, counts = np.unique(texts, return_counts=True)
    order = np.lexsort((names, -counts))
    kept = [str(names[place]) for place in order[:CATEGORIES]]
    place = {name: number for number, name in enumerate(kept)}
    code = np.array([place.get(str(text), CATEGORIES) for text in texts], np.int64)
    return code, [*kept, "other"] if len(names) > CATEGORIES else kept


def information(table: NDArray[np.int64] | Numbers) -> Numbers:
    r"""Mutual information of two variables in bits.

    .. math:: \sum_{ij} p_{ij} \log_2 \frac{p_{ij}}{p_i p_j}

    Args:
        table: ``(..., codes, classes)`` counts.

    Returns:
        ``(...)`` float64.

    Example:
        >>> information(np.array([[5, 0], [0, 5]])).item(), information(np.ones((2, 2))).item()
        (1.0, 0.0)
    """
    share = table / table.sum(axis=(-2, -1), keepdims=True)
    expected = share.sum(axis=-1, keepdims=True) * share.sum(axis=-2, keepdims=True)
    ratio = np.divide(share, expected, out=np.ones_like(share), where=share > 0)
    return np.asarray((share * np.log2(ratio)).sum(axis=(-2, -1)))


def information_p_values(
    codes: Sequence[Classes],
    target: Classes,
    classes: int,
    generator: np.random.Generator,
    *,
    unit: Classes | None = None,
) -> tuple[Numbers, Numbers]:
    """Mutual information of each property with the class, and its p-value.

    The classes are shuffled 200 times, those of a unit together. The information of the shuffled
    classes is nearly a multiple of a chi-squared variable, which is a gamma variable: the p-value
    is that of the gamma distribution with their mean and variance. So 200 shuffles can give a
    p-value that survives Holm's correction over many properties.

    Args:
        codes: ``(N,)`` int64 categories or bins of each property.
        target: ``(N,)`` int64 classes.
        classes: number of classes.
        generator: source of randomness.
        unit: ``(N,)`` number of the unit of each row. By default, the rows are independent.

    Returns:
        ``(P,)`` bits, and ``(P,)`` p-values. A property with one value has p-value 1.
    """
    from scipy.stats import gamma

    alone = np.arange(len(target))
    shuffled = shuffled_labels(target, alone if unit is None else unit, generator, count=SHUFFLES)
    bits, p_values = np.zeros(len(codes)), np.ones(len(codes))
    hits = [(shuffled == c).astype(np.float32) for c in range(classes)]
    for place, code in enumerate(codes):
        count = int(code.max()) + 1
        bits[place] = information(contingency(code, target, count, classes))
        indicator = np.eye(count, dtype=np.float32)[code]
        tables = np.stack([hit @ indicator for hit in hits], axis=-1).astype(np.float64)
        null = information(tables)
        mean, variance = float(null.mean()), float(null.var(ddof=1))
        if variance > 0 and mean > 0:
            p_values[place] = gamma.sf(bits[place], mean**2 / variance, scale=variance / mean)
    return bits, p_values


def tied_auroc_interval(
    scores: Numbers, target: Classes, generator: np.random.Generator
) -> tuple[float, float, float]:
    """Macro AUROC and its 95 % interval, of scores with many ties.

    Two classes have a bootstrap that is stratified by class. A sample of a class is a multinomial
    draw of how often each distinct score occurs, so that no row is copied. More classes have the
    interval of :func:`~debias.audits.cues.probing.several_aurocs`.

    Args:
        scores: ``(N, C)`` class probabilities.
        target: ``(N,)`` int64 classes.
        generator: source of randomness.

    Returns:
        Value, low and high.
    """
    present = np.unique(target)
    if len(present) > 2:
        return several_aurocs(scores, target)
    one = present[-1]
    _, place = np.unique(scores[:, one], return_inverse=True)
    positive = np.bincount(place[target == one], minlength=place.max() + 1)
    negative = np.bincount(place[target != one], minlength=place.max() + 1)
    resampled = [
        generator.multinomial(part.sum(), part / part.sum(), RESAMPLES)
        for part in (positive, negative)
    ]
    low, high = np.quantile(_area(*resampled), [0.025, 0.975])
    return float(_area(positive[None], negative[None])[0]), float(low), float(high)


def _area(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> Numbers:
    """AUROC of ``(B, K)`` numbers of positives and negatives with each of K ascending scores."""
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + negative / 2)).sum(axis=1)
    return np.asarray(wins / (positive.sum(axis=1) * negative.sum(axis=1)))


def ruled_classes(target: Classes, classes: int) -> list[int]:
    """The classes that a rule may tell: all; of two, the rarer one."""
    counts = np.bincount(target, minlength=classes)
    present = np.flatnonzero(counts).tolist()
    return [min(present, key=lambda one: (counts[one], -one))] if len(present) == 2 else present


def number_rule(numbers: Numbers, target: Classes, classes: int) -> PropertyRule:
    """The threshold and class with the highest recall minus share of the others.

    Args:
        numbers: ``(N,)``; rows with NaN fit no rule.
        target: ``(N,)`` int64 classes.
        classes: number of classes.
    """
    order = np.argsort(numbers, kind="stable")
    order = order[~np.isnan(numbers[order])]
    values = numbers[order]
    if not len(values):
        return PropertyRule(0, ">", 0.0, 0.0, 0.0, 0.0)
    ends = np.flatnonzero(np.r_[values[1:] > values[:-1], True])  # last row of each value
    best: tuple[float, int, str, float] = (-1.0, 0, ">", float(values[0]))
    for one in ruled_classes(target, classes):
        hits = np.cumsum(target[order] == one)[ends]
        size, others = int((target == one).sum()), int((target != one).sum())
        if not size or not others:
            continue
        share, other = hits / size, (ends + 1 - hits) / others
        above, other_above = hits[-1] / size - share, (ends[-1] + 1 - hits[-1]) / others - other
        for sign, gap in (("<=", share - other), (">", above - other_above)):
            place = int(gap.argmax())
            if gap[place] > best[0] + 1e-12:
                best = (float(gap[place]), one, sign, _between(values, ends, place))
    _, one, sign, threshold = best
    fits = numbers <= threshold if sign == "<=" else numbers > threshold
    return _rule(one, sign, threshold, fits, target)


def _between(values: Numbers, ends: NDArray[np.int64], place: int) -> float:
    """The middle between a value and the next larger one."""
    if place + 1 == len(ends):
        return float(values[-1])
    return float(values[ends[place]] + values[ends[place] + 1]) / 2


def category_rule(code: Classes, target: Classes, classes: int) -> PropertyRule:
    """The category and class with the highest recall minus share of the others."""
    table = contingency(code, target, int(code.max()) + 1, classes)
    sizes = np.maximum(table.sum(axis=0), 1)
    others = np.maximum(len(target) - table.sum(axis=0), 1)
    gap = table / sizes - (table.sum(axis=1, keepdims=True) - table) / others
    ruled = ruled_classes(target, classes)
    best, place = np.unravel_index(int(gap[:, ruled].argmax()), (len(gap), len(ruled)))
    return _rule(ruled[int(place)], "is", float(best), code == best, target)


def _rule(
    one: int, sign: str, value: float, fits: NDArray[np.bool_], target: Classes
) -> PropertyRule:
    member = target == one
    fitting = max(int(fits.sum()), 1)
    hits = int((fits & member).sum())
    return PropertyRule(
        one,
        sign,
        value,
        hits / fitting,
        hits / max(int(member.sum()), 1),
        (int(fits.sum()) - hits) / max(int((~member).sum()), 1),
    )


def auroc_inside(scores: Numbers, target: Classes, strata: Classes) -> float | None:
    """Largest macro AUROC of scores inside the strata.

    A stratum counts if two classes have 10 images each in it. Inside the strata of what another cue
    says, a by-product of that cue tells nothing.

    Args:
        scores: ``(N, C)`` class probabilities.
        target: ``(N,)`` int64 classes.
        strata: ``(N,)`` int64.

    Returns:
        The largest of the strata; ``None`` if no stratum counts.
    """
    areas = []
    for one in np.unique(strata):
        inside = strata == one
        present = [c for c in np.unique(target[inside]) if (target[inside] == c).sum() >= 10]
        if len(present) < 2:
            continue
        rows = torch.from_numpy(scores[inside])
        hits = [torch.from_numpy(target[inside] == c) for c in present]
        parts = [float(auroc(rows[:, c], hit)) for c, hit in zip(present, hits, strict=True)]
        areas.append(float(np.mean(parts)))
    return max(areas, default=None)
