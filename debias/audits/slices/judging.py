"""How a found slice does on images on which it was not found."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from debias.metrics.accuracy.significance import holm
from debias.metrics.accuracy.uncertainty import wilson_interval
from debias.metrics.scores.retrieval import matched_precision

#: Least difference of accuracies of a strong finding, and of some finding.
STRONG_GAP, SOME_GAP = 0.3, 0.1
#: Largest p-value of a finding, adjusted for the number of slices.
LEVEL = 0.01
#: Fewest judged images of a slice.
FEWEST = 10
#: Share of common images from which on two slices are the same.
SAME = 0.5


class JudgedSlice(NamedTuple):
    """The accuracy of a slice beside that of the other images of its class.

    Attributes:
        number: position of the slice.
        target: the class of most of its images.
        images: number of its judged images.
        accuracy: share of them that the model gets right; NaN without images.
        low: lower end of its 95 % interval.
        high: upper end.
        others: accuracy on the other judged images of the class.
        p_value: of "the slice is as good as the others", adjusted over all slices.
    """

    number: int
    target: int
    images: int
    accuracy: float
    low: float
    high: float
    others: float
    p_value: float

    @property
    def strength(self) -> str:
        """How much worse the slice is: "strong", "some" or "none found"."""
        gap = self.others - self.accuracy
        if self.images < FEWEST or self.p_value > LEVEL or not gap >= SOME_GAP:
            return "none found"
        return "strong" if gap >= STRONG_GAP else "some"


def judged_slices(
    members: NDArray[np.bool_], target: NDArray[np.int64], correct: NDArray[np.bool_]
) -> list[JudgedSlice]:
    """Compare each slice with the other images of its class, by Fisher's exact test.

    Args:
        members: ``(M, T)`` bool, the images of each slice, among images on which no slice was
            found.
        target: ``(M,)`` int64 class.
        correct: ``(M,)`` bool, whether the model is right.

    Returns:
        One entry per slice, worst first: by the difference of the accuracies.
    """
    from scipy.stats import fisher_exact

    rows = []
    for number, inside in enumerate(members.T):
        one = int(np.bincount(target[inside]).argmax()) if inside.any() else 0
        others = (target == one) & ~inside
        right = [int(correct[side].sum()) for side in (inside, others)]
        sizes = [int(inside.sum()), int(others.sum())]
        table = [[count, size - count] for count, size in zip(right, sizes, strict=True)]
        p_value = float(fisher_exact(table, "less")[1])
        rows.append((number, one, right, sizes, p_value))
    adjusted = holm(np.array([row[-1] for row in rows], dtype=np.float64)).tolist()
    judged = [_judged(*row[:4], p_value) for row, p_value in zip(rows, adjusted, strict=True)]
    return sorted(judged, key=lambda one: (-_gap(one), one.number))


def _gap(one: JudgedSlice) -> float:
    return float(np.nan_to_num(one.others - one.accuracy, nan=-1.0))


def _judged(
    number: int, target: int, right: list[int], sizes: list[int], p_value: float
) -> JudgedSlice:
    accuracy, others = (
        count / size if size else float("nan") for count, size in zip(right, sizes, strict=True)
    )
    low, high = wilson_interval(torch.tensor(right[0]), torch.tensor(sizes[0]))
    return JudgedSlice(number, target, sizes[0], accuracy, float(low), float(high), others, p_value)


def slice_precisions(
    weight: NDArray[np.float64], true: NDArray[np.bool_], target: NDArray[np.int64]
) -> list[float]:
    """Precision at 10 of the slice that agrees best with some images of a class, for each class.

    It is the share of these images among the ten with the largest weight in the slice.

    Args:
        weight: ``(M, T)`` weights in the slices, of images on which no slice was found.
        true: ``(M,)`` bool: the images that a slice should hold, such as the wrong ones.
        target: ``(M,)`` int64 class.

    Returns:
        One number per class up to the largest; NaN for a class without such images.
    """
    classes = range(int(target.max(initial=-1)) + 1)
    sought = np.stack([true & (target == one) for one in classes], axis=1)
    return matched_precision(torch.from_numpy(weight), torch.from_numpy(sought)).tolist()


def different_slices(
    judged: Sequence[JudgedSlice], members: NDArray[np.bool_]
) -> list[JudgedSlice]:
    """The slices without those that share most of their images with a worse one.

    Args:
        judged: slices, worst first.
        members: ``(N, T)`` bool, the images of each slice.
    """
    kept: list[JudgedSlice] = []
    for one in judged:
        mine = members[:, one.number]
        shared = [
            (mine & members[:, other.number]).sum()
            / max((mine | members[:, other.number]).sum(), 1)
            for other in kept
        ]
        if max(shared, default=0) < SAME:
            kept.append(one)
    return kept
