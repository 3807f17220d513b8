"""Which labels occur together, for images with several labels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class LabelPair(NamedTuple):
    """Two labels and how much more often they occur together than independent labels would.

    Attributes:
        first: number of a label.
        second: number of the other label, greater.
        images: number of images with both.
        information: ``log(p(a, b) / (p(a) p(b)))``, in nats; ``-inf`` if no image has both.
    """

    first: int
    second: int
    images: int
    information: float


def label_pairs(labels: NDArray[np.int64]) -> list[LabelPair]:
    r"""Pointwise mutual information of each pair of labels, greatest first.

    .. math:: \log \frac{p(a, b)}{p(a)\, p(b)}

    Args:
        labels: ``(N, L)`` 0/1 labels.

    Returns:
        One entry per pair of labels that both occur.
    """
    numbers = labels.astype(np.float64)  # whose product is fast, and exact for counts
    together, each = (numbers.T @ numbers).astype(np.int64), labels.sum(axis=0)
    pairs = [
        LabelPair(a, b, int(together[a, b]), _information(together[a, b], each[a], each[b], labels))
        for a, b in zip(*(side.tolist() for side in np.triu_indices(len(each), k=1)), strict=True)
        if each[a] and each[b]
    ]
    return sorted(pairs, key=lambda pair: (-pair.information, pair.first, pair.second))


def _information(both: int, first: int, second: int, labels: NDArray[np.int64]) -> float:
    return float(np.log(both * len(labels) / (first * second))) if both else float("-inf")


def representation_bias(attribute: NDArray[np.int64]) -> float:
    r"""Largest difference between the share of a value and an equal share.

    .. math:: \max_k |P(s_k) - 1 / K|

    Source: Alabdulmohsin et al., "CLIP the Bias: How Useful is Balancing Data in Multimodal
    Learning?", ICLR 2024.

    Args:
        attribute: ``(N,)`` int64 value in 0 to K - 1.
    """
    shares = np.bincount(attribute) / len(attribute)
    return float(np.abs(shares - 1 / len(shares)).max())


def association_bias(attribute: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    r"""Largest covariance of a value of the attribute with a label: :math:`\max |Cov(s_k, y_l)|`.

    Source: as for :func:`representation_bias`.

    Args:
        attribute: ``(N,)`` int64 value in 0 to K - 1.
        labels: ``(N, L)`` 0/1 labels.

    Returns:
        In [0, 1/4]; 0 if attribute and labels are uncorrelated.
    """
    values = np.eye(int(attribute.max()) + 1)[attribute]
    centred = values - values.mean(axis=0), labels - labels.mean(axis=0)
    return float(np.abs(centred[0].T @ centred[1]).max() / len(labels))
