"""Labels that the images do not support, and in which slices these lie."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: A slice with more than this many times its share of the suspects is worth a warning.
OVER_SHARE = 2.0
#: Level of the test that a slice has more than its share of the suspects.
LEVEL = 0.05


class ConfidentJoint(NamedTuple):
    """Given labels against the labels that out-of-fold probabilities suggest.

    Attributes:
        thresholds: ``(C,)`` float64: mean probability of each class on the images labelled so, NaN
            for a class without images.
        counts: ``(C, C)`` int64: images by given and suggested label.
        suggested: ``(N,)`` int64 suggested label, -1 if no class reaches its threshold.
        suspects: ``(S,)`` int64 rows whose suggested label is another class, least probable given
            label first.
    """

    thresholds: NDArray[np.float64]
    counts: NDArray[np.int64]
    suggested: NDArray[np.int64]
    suspects: NDArray[np.int64]


def confident_joint(
    probabilities: NDArray[np.float64], target: NDArray[np.int64]
) -> ConfidentJoint:
    r"""Count images by given label a and suggested label b.

    .. math:: t_j = \frac{1}{n_j} \sum_{i: y_i = j} p_{ij}, \qquad
              b_i = \arg\max_{j: p_{ij} \ge t_j} p_{ij}

    Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset
    Labels", JAIR 2021.

    Args:
        probabilities: ``(N, C)`` float64 out-of-fold probabilities.
        target: ``(N,)`` int64 given labels.

    Returns:
        The joint counts, the suggested labels, and the suspects: rows with another suggested label.

    Differs from the reference: cleanlab scales the counts to the number of images of each label.

    Example:
        >>> one = np.array([0.1, 0.2, 0.9, 0.8, 0.9, 0.3])
        >>> found = confident_joint(np.stack([1 - one, one], axis=1), np.array([0, 0, 0, 1, 1, 1]))
        >>> found.counts.tolist(), found.suspects.tolist()
        ([[2, 1], [1, 2]], [2, 5])
    """
    count = probabilities.shape[1]
    given = np.eye(count)[target]
    sizes = given.sum(axis=0)
    total = (given * probabilities).sum(axis=0)
    thresholds = np.divide(total, sizes, out=np.full(count, np.nan), where=sizes > 0)
    # rounding must not put the images of a constant probability below their own mean
    reached = probabilities >= np.nan_to_num(thresholds, nan=np.inf) - 1e-12
    suggested = np.where(reached, probabilities, -1.0).argmax(axis=1)
    suggested[~reached.any(axis=1)] = -1
    known = suggested >= 0
    counts = np.zeros((count, count), dtype=np.int64)
    np.add.at(counts, (target[known], suggested[known]), 1)
    others = np.flatnonzero(known & (suggested != target))
    own = probabilities[others, target[others]]
    return ConfidentJoint(thresholds, counts, suggested, others[own.argsort(kind="stable")])


class SliceShare(NamedTuple):
    """How many of the suspects lie in one slice.

    Attributes:
        name: name of the slice.
        images: number of its images.
        suspects: number of suspects among them.
        ratio: share of the slice among the suspects ÷ its share among all images.
        warned: whether the ratio is above ``OVER_SHARE`` and unlikely to be chance.
    """

    name: str
    images: int
    suspects: int
    ratio: float
    warned: bool


def suspects_by_slice(
    suspect: NDArray[np.bool_], members: NDArray[np.bool_], names: Sequence[str]
) -> list[SliceShare]:
    """Say in which slices the suspects lie.

    A minority whose labels are right is often unlikely to a model. If most suspects lie in it, then
    the images must not be left out: they are the ones that a model needs.

    Args:
        suspect: ``(N,)`` bool, whether the label of an image is suspect.
        members: ``(N, S)`` bool, the images of each slice.
        names: names of the slices.

    Returns:
        One share per slice, largest ratio first. A slice is warned of if its ratio is above
        ``OVER_SHARE``, and if a one-sided hypergeometric test rejects at ``LEVEL`` ÷ S that the
        suspects are drawn from all images alike.
    """
    from scipy.stats import hypergeom

    images, found = members.sum(axis=0), (members & suspect[:, None]).sum(axis=0)
    total, all_suspects = len(suspect), int(suspect.sum())
    shares = []
    for name, size, inside in zip(names, images.tolist(), found.tolist(), strict=True):
        ratio = inside * total / (size * all_suspects) if size and all_suspects else 0.0
        chance = float(hypergeom.sf(inside - 1, total, size, all_suspects))
        warned = ratio > OVER_SHARE and chance * len(names) < LEVEL
        shares.append(SliceShare(name, size, inside, ratio, warned))
    return sorted(shares, key=lambda share: (-share.ratio, share.name))
