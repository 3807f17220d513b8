"""Which cue explains which: what one cue still tells where another says the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.probing import Rows, Scores

#: Number of strata of the other cue's score.
STRATA = 10
#: Below this AUROC inside the strata, a cue says nothing of its own.
SILENT = 0.6
#: Pairs of images of different classes that the strata must hold, all together, to compare in.
FEWEST_PAIRS = 100
#: Classes that are compared, those with the most rows.
MOST_CLASSES = 10


def stratified_auroc(scores: Scores, other: Scores, target: Rows) -> float:
    r"""AUROC of one cue inside the strata of another cue's score.

    For class c the rows are cut into ten strata of equal size by the other cue's score of c. With
    :math:`w_s` won pairs (a tie counts half) of the :math:`n_s` pairs in stratum s,

    .. math:: \frac{\sum_s w_s}{\sum_s n_s}

    averaged over the classes. Two strata, of what the other cue decides, would be too coarse: a
    graded cue then still tells the class by itself.

    Args:
        scores: ``(N, C)`` held-out scores of the cue.
        other: ``(N, C)`` of the other cue.
        target: ``(N,)`` classes.

    Returns:
        In [0, 1]; 0.5 if the other cue explains all; NaN if hardly any stratum has two classes.
    """
    sizes = np.bincount(target, minlength=scores.shape[1])
    asked = np.argsort(-sizes, kind="stable")[:MOST_CLASSES]
    if scores.shape[1] == 2:
        asked = asked[:1]  # the other class has the same pairs
    areas = [
        _inside(scores[:, c], other[:, c], target == c) for c in asked if 0 < sizes[c] < len(target)
    ]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def alike_within_classes(scores: Scores, other: Scores, target: Rows) -> float:
    """Rank correlation of two cues' scores within the classes: mean over classes, in [-1, 1].

    Two cues that follow the same thing vary together also among images of one class.
    """
    from scipy.stats import rankdata

    found = []
    for c in np.unique(target):
        pair = [rankdata(part[target == c, c]) for part in (scores, other)]
        if all(np.ptp(ranks) > 0 for ranks in pair):
            found.append(float(np.corrcoef(*pair)[0, 1]))
    return float(np.mean(found)) if found else 0.0


def explains(scores: Scores, other: Scores, target: Rows, *, alone: float) -> bool:
    """Whether a cue says nothing of its own inside the strata of another.

    Its AUROC there is below 0.6, and it has lost at least half of what it has above 0.5. If the
    other cue leaves no stratum with two classes, the two count as one if their scores vary
    together within the classes (rank correlation 0.5 or more).

    Args:
        scores, other, target: as in :func:`stratified_auroc`.
        alone: AUROC of the cue on all rows.
    """
    inside = stratified_auroc(scores, other, target)
    if np.isnan(inside):
        return alike_within_classes(scores, other, target) >= 0.5
    return inside < SILENT and inside - 0.5 < (alone - 0.5) / 2


def explained_by(
    scores: Sequence[Scores], target: Rows, *, areas: Sequence[float], sizes: Sequence[int]
) -> list[int]:
    """The cue that explains each cue.

    The cues are taken by their AUROC, rounded to hundredths. Of equals, the one with the fewest
    numbers comes first. A cue is explained by the first cue before it that :func:`explains` it and
    is not itself explained.

    Args:
        scores: ``(N, C)`` held-out scores of each cue.
        target: ``(N,)`` classes.
        areas: AUROC of each cue.
        sizes: how many numbers each cue has.

    Returns:
        Position of the explaining cue; -1 for a cue that stands for itself.
    """
    order = sorted(range(len(scores)), key=lambda i: (-round(areas[i], 2), sizes[i], i))
    found = [-1] * len(scores)
    kept: list[int] = []
    for one in order:
        others = (
            other
            for other in kept
            if explains(scores[one], scores[other], target, alone=areas[one])
        )
        found[one] = next(others, -1)
        if found[one] < 0:
            kept.append(one)
    return found


def _inside(
    score: NDArray[np.float64], other: NDArray[np.float64], hit: NDArray[np.bool_]
) -> float:
    from scipy.stats import rankdata

    place = rankdata(other, method="average")  # equal scores share a stratum
    stratum = np.minimum((place - 0.5) * STRATA / len(place), STRATA - 1).astype(np.int64)
    won = pairs = 0.0
    for one in range(STRATA):
        here = stratum == one
        positives = int(hit[here].sum())
        negatives = int(here.sum()) - positives
        if positives and negatives:
            ranks = rankdata(score[here])[hit[here]]
            won += float(ranks.sum()) - positives * (positives + 1) / 2
            pairs += positives * negatives
    return won / pairs if pairs >= FEWEST_PAIRS else float("nan")
