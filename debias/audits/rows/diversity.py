"""How many different images a class has, and how far two sets of images lie apart."""

import numpy as np
from numpy.typing import NDArray

#: Draws of images over which a score is averaged.
DRAWS = 10


def vendi_score(vectors: NDArray[np.float64]) -> float:
    r"""Effective number of different images: the exponential of the entropy of their similarities.

    .. math:: V = \exp\Big(-\sum_k \lambda_k \log \lambda_k\Big), \qquad
              \lambda = \mathrm{eig}(K / n), \quad K_{ij} = \cos(x_i, x_j)

    It depends on the number of images: compare sets of the same size.

    Source: Friedman and Dieng, "The Vendi Score: A Diversity Evaluation Metric for Machine
    Learning", TMLR 2023, vertaix/Vendi-Score.

    Args:
        vectors: ``(n, D)`` float64 features, n at least 1.

    Returns:
        From 1 (all equal) to n (all orthogonal).

    Example:
        >>> round(vendi_score(np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])), 6)
        2.0
    """
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0)
    rows, columns = unit.shape
    product = unit @ unit.T if rows <= columns else unit.T @ unit  # of the same eigenvalues
    values = np.linalg.eigvalsh(product / rows)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def vendi_by_class(
    vectors: NDArray[np.float64],
    target: NDArray[np.int64],
    *,
    generator: np.random.Generator,
    most: int = 500,
) -> NDArray[np.float64]:
    """Vendi score of each class, with equally many images of each.

    Args:
        vectors: ``(N, D)`` float64 features.
        target: ``(N,)`` int64 class.
        generator: source of the draws.
        most: the most images of a class that are drawn.

    Returns:
        ``(C,)`` float64 means of ``DRAWS`` scores, NaN for a class without images. Each draw has as
        many images of each class as the smallest class has, ``most`` at most.
    """
    sizes = np.bincount(target)
    smallest = min(int(sizes[sizes > 0].min()), most)
    scores = np.full(len(sizes), np.nan)
    for one in np.flatnonzero(sizes):
        members = np.flatnonzero(target == one)
        drawn = [generator.permutation(members)[:smallest] for _ in range(DRAWS)]
        scores[one] = np.mean([vendi_score(vectors[part]) for part in drawn])
    return scores


def histogram_distance(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Earth mover's distance of histograms, in widths of a bin.

    Args:
        first: ``(..., B)`` counts or shares of B bins in a row.
        second: ``(..., B)`` counts or shares of the same bins.

    Returns:
        ``(...)`` float64 in [0, B - 1]: how far the share of an image moves on average.

    Example:
        >>> float(histogram_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
        1.0
    """
    shares = [one / one.sum(axis=-1, keepdims=True) for one in (first, second)]
    moved = np.cumsum(shares[0] - shares[1], axis=-1)[..., :-1]
    return np.asarray(np.abs(moved).sum(axis=-1))


def neuron_distances(
    first: NDArray[np.float64], second: NDArray[np.float64], *, bins: int = 100
) -> NDArray[np.float64]:
    """How far the values of each neuron lie apart in two sets of images.

    The distance of the sets is the mean over the neurons. The largest ones say what differs.

    Source: Ramtoula, Gadd, Newman and De Martini, "Visual DNA: Representing and Comparing Images
    Using Distributions of Neuron Activations", CVPR 2023.

    Args:
        first: ``(n, D)`` float64 values of D neurons.
        second: ``(m, D)`` float64 values of the same neurons.
        bins: number of bins, over the range of each neuron in both sets.

    Returns:
        ``(D,)`` float64 in [0, 1]: earth mover's distance of the two histograms, ÷ range of the
        neuron. It is 0 for a constant neuron.
    """
    both = np.concatenate([first, second])
    low, width = both.min(axis=0), np.ptp(both, axis=0)
    scaled = np.divide(both - low, width, out=np.zeros_like(both), where=width > 0)
    place = np.minimum((scaled * bins).astype(np.int64), bins - 1)
    parts = [_histograms(part, bins) for part in (place[: len(first)], place[len(first) :])]
    return np.asarray(histogram_distance(*parts) / max(bins - 1, 1))


def _histograms(place: NDArray[np.int64], bins: int) -> NDArray[np.float64]:
    """``(D, bins)`` counts of ``(n, D)`` numbers of bins."""
    columns = place.shape[1]
    flat = (place + np.arange(columns) * bins).ravel()
    return np.bincount(flat, minlength=columns * bins).reshape(columns, bins).astype(np.float64)
