"""Intrinsic dimension of images or features, and how sharply labels change between them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.errors import InputError

#: Share of the closest pairs of different labels below which the robust sharpness is read.
CLOSEST = 0.001


class LabelSharpness(NamedTuple):
    """How sharply labels change.

    Attributes:
        largest: 1 ÷ distance of the closest pair of different labels.
        quantile: 1 ÷ the 0.1 % quantile of the distances of such pairs. The largest is one pair.
    """

    largest: float
    quantile: float


def label_sharpness(vectors: NDArray[np.float64], target: NDArray[np.int64]) -> LabelSharpness:
    r"""How sharply labels change between images.

    .. math:: K_F = \max_{j,k:\; y_j \ne y_k} \frac{1}{\lVert x_j - x_k \rVert_2}

    Compare only sets of the same size, with images of the same size and range.

    Source: Konz and Mazurowski, "The Effect of Intrinsic Dataset Properties on Generalization",
    ICLR 2024, mazurowski-lab/intrinsic-properties.

    Args:
        vectors: ``(M, D)`` float64, such as images in [0, 1]; M is 1,000 in the paper.
        target: ``(M,)`` int64 class.

    Returns:
        The maximum over all pairs, and a quantile. Pairs of distance 0 are left out: they are
        duplicates with conflicting labels. NaN without a pair of different labels.

    Differs from the reference: its code counts pairs of *equal* labels, and only some pairs. debias
    computes what the paper defines, on all pairs.

    Example:
        >>> points = np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
        >>> round(label_sharpness(points, np.array([0, 0, 1])).largest, 4)  # 1 / sqrt(18)
        0.2357
    """
    from scipy.spatial.distance import pdist

    first, second = np.triu_indices(len(target), k=1)
    away = pdist(vectors)[target[first] != target[second]]
    away = away[away > 0]
    if not len(away):
        return LabelSharpness(float("nan"), float("nan"))
    return LabelSharpness(float(1 / away.min()), float(1 / np.quantile(away, CLOSEST)))


def intrinsic_dimension(vectors: NDArray[np.float64], *, neighbours: int = 20) -> float:
    r"""Maximum likelihood estimate of the dimension of the manifold on which points lie.

    .. math:: d = \Big[ \frac{1}{M} \sum_i \frac{1}{k-1} \sum_{j<k}
              \log \frac{T_k(i)}{T_j(i)} \Big]^{-1}

    :math:`T_j(i)` is the distance of point i to its j-th neighbour.

    Source: Levina and Bickel, NIPS 2004; with MacKay and Ghahramani's mean of the inverses, as in
    Konz and Mazurowski, ICLR 2024.

    Args:
        vectors: ``(M, D)`` float64. Equal points count once.
        neighbours: k, at least 2.

    Returns:
        Above 0; NaN with k or fewer different points.

    Raises:
        ValueError: ``neighbours`` is less than 2.
    """
    from scipy.spatial.distance import pdist, squareform

    if neighbours < 2:
        raise InputError(f"neighbours must be at least 2; got neighbours={neighbours}")
    points = np.unique(vectors, axis=0)
    if len(points) <= neighbours:
        return float("nan")
    away = np.sort(np.partition(squareform(pdist(points)), neighbours)[:, : neighbours + 1])[:, 1:]
    inverses = np.log(away[:, -1:] / away[:, :-1]).mean(axis=1)
    return float(1 / inverses.mean())
