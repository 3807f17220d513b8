"""Whether two splits were drawn alike: how well a probe tells their images apart."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.probing import fitted_probe, shuffled_labels

#: Fewest images of each split, in each half of a class.
FEWEST = 10
#: Most classes that are compared, those with the most images of the smaller split.
MOST_CLASSES = 5
#: Orders of the splits' names from which a p-value is computed.
PERMUTATIONS = 1999
RESAMPLES = 500
#: In place of a class, the mean over the classes.
ALL_CLASSES = -1


class SplitDifference(NamedTuple):
    """How well two splits are told apart, inside one class or on average over the classes.

    Attributes:
        target: the class, or ``ALL_CLASSES``.
        auroc: of the second split against the first, on images that the probe did not learn from.
        low: lower end of its 95 % bootstrap interval.
        high: upper end.
        p_value: share of the orders of the splits' names with an AUROC at least as large.
        images: number of images on which it was measured.
    """

    target: int
    auroc: float
    low: float
    high: float
    p_value: float
    images: int


class _Drawn(NamedTuple):
    """AUROCs of one class: measured, of permuted names, and of bootstrap samples."""

    measured: float
    permuted: NDArray[np.float64]
    resampled: NDArray[np.float64]
    images: int


def split_differences(
    numbers: NDArray[np.float32],
    second: NDArray[np.bool_],
    target: NDArray[np.int64],
    learning: NDArray[np.bool_],
    *,
    generator: np.random.Generator,
    unit: NDArray[np.int64] | None = None,
) -> list[SplitDifference]:
    """Test whether images of two splits come from one distribution, inside each class.

    A probe learns from one half which split an image is in, and is judged on the other half. If the
    splits were drawn alike, the names of the judged images are exchangeable, so that the p-value
    holds exactly. Classes are looked at one by one: that a split has more images of one class is
    not a difference.

    Source: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017; Liu and He, "A
    Decade's Battle on Dataset Bias: Are We There Yet?", ICLR 2025, with splits as data sets.

    Args:
        numbers: ``(N, d)`` float32 features or statistics.
        second: ``(N,)`` bool, the images of the second split.
        target: ``(N,)`` int64 class.
        learning: ``(N,)`` bool, the half from which the probe learns. Keep duplicates in one half.
        generator: source of the permutations and of the bootstrap samples.
        unit: ``(N,)`` number of the unit of each image. The names of the splits are permuted among
            whole units. By default, the images are independent.

    Returns:
        The mean over the classes first, then each class; empty if no class has ``FEWEST`` images
        of each split in both halves.
    """
    drawn: dict[int, _Drawn] = {}
    for one in _compared(second, target, learning):
        inside = target == one
        judged = inside & ~learning
        half = inside & learning
        probe = fitted_probe(numbers[half], second[half].astype(np.int64), classes=2)
        units = np.flatnonzero(judged) if unit is None else unit[judged]
        scores = probe.scores(numbers[judged])[:, 1]
        drawn[one] = _one_class(scores, second[judged], units, generator)
    if not drawn:
        return []
    parts = list(drawn.values())
    whole = _Drawn(
        float(np.mean([part.measured for part in parts])),
        np.mean([part.permuted for part in parts], axis=0),
        np.mean([part.resampled for part in parts], axis=0),
        sum(part.images for part in parts),
    )
    return [_difference(name, part) for name, part in {ALL_CLASSES: whole, **drawn}.items()]


def _compared(
    second: NDArray[np.bool_], target: NDArray[np.int64], learning: NDArray[np.bool_]
) -> Iterator[int]:
    classes = np.unique(target)
    fewest = [
        min(
            int(((target == one) & (second == side) & (learning == half)).sum())
            for side in (False, True)
            for half in (False, True)
        )
        for one in classes
    ]
    order = sorted(range(len(classes)), key=lambda place: (-fewest[place], place))
    chosen = sorted(place for place in order[:MOST_CLASSES] if fewest[place] >= FEWEST)
    return (int(classes[place]) for place in chosen)


def _one_class(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    unit: NDArray[np.int64],
    generator: np.random.Generator,
) -> _Drawn:
    from scipy.stats import rankdata

    ranks, count = rankdata(scores), int(positive.sum())
    if len(np.unique(unit)) == len(unit):
        tiled = np.broadcast_to(ranks, (PERMUTATIONS, len(ranks)))
        shuffled = generator.permuted(tiled, axis=1)[:, :count]
        permuted = _area(shuffled.sum(axis=1), count, len(ranks))
    else:
        named = shuffled_labels(positive.astype(np.int64), unit, generator, count=PERMUTATIONS)
        permuted = _area(named @ ranks, named.sum(axis=1), len(ranks))
    measured = float(_area(ranks[positive].sum(), count, len(ranks)))
    return _Drawn(measured, permuted, _resampled(scores, positive, generator), len(ranks))


def _area(
    rank_sum: NDArray[np.float64] | float, positives: NDArray[np.int64] | int, images: int
) -> NDArray[np.float64]:
    won = np.asarray(rank_sum) - positives * (positives + 1) / 2
    pairs = np.asarray(positives * (images - positives))
    # without a pair it counts as large, so that the p-value is not too small
    return np.asarray(np.divide(won, pairs, out=np.ones_like(won), where=pairs > 0))


def _resampled(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.float64]:
    """AUROCs of samples drawn with replacement from each side."""
    sides = scores[positive], np.sort(scores[~positive])
    # the share of the negatives below each positive, ties counted half
    below = (
        np.searchsorted(sides[1], sides[0], "left"),
        np.searchsorted(sides[1], sides[0], "right"),
    )
    counts = generator.multinomial(
        len(sides[1]), np.full(len(sides[1]), 1 / len(sides[1])), RESAMPLES
    )
    reached = np.concatenate([np.zeros((RESAMPLES, 1), np.int64), counts.cumsum(axis=1)], axis=1)
    won = (reached[:, below[0]] + reached[:, below[1]]) / (2 * len(sides[1]))
    weight = generator.multinomial(
        len(sides[0]), np.full(len(sides[0]), 1 / len(sides[0])), RESAMPLES
    )
    return np.asarray((won * weight).sum(axis=1) / len(sides[0]))


def _difference(target: int, drawn: _Drawn) -> SplitDifference:
    low, high = np.quantile(drawn.resampled, [0.025, 0.975]).tolist()
    above = int((drawn.permuted >= drawn.measured - 1e-12).sum())
    p_value = (1 + above) / (1 + len(drawn.permuted))
    return SplitDifference(target, drawn.measured, low, high, p_value, drawn.images)
