"""A mixture whose components explain features, labels and predictions together."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
#: ``(N, S)`` float64: probability of each component for each image; rows sum to 1.
Memberships = NDArray[np.float64]

#: Added to variances of features, and to covariances of outputs, so that they can be inverted.
RIDGE, OUTPUT_RIDGE = 1e-6, 1e-3
EPSILON = float(np.finfo(np.float64).eps)
#: The most steps of expectation maximisation.
STEPS = 100


class SliceDensity(Protocol):
    """The density of one observed quantity in each of S components."""

    def log(self, values: Values) -> Values:
        """``(N, S)`` log density of ``(N, D)`` values."""


class DiagonalNormals(NamedTuple):
    """Normal distributions with independent dimensions: ``(S, D)`` means and variances."""

    mean: Values
    variance: Values

    def log(self, values: Values) -> Values:
        """``(N, S)`` log density of ``(N, D)`` values."""
        scale = 1 / self.variance
        squares = (
            (values**2) @ scale.T
            - 2 * values @ (self.mean * scale).T
            + (self.mean**2 * scale).sum(axis=1)
        )
        constant = np.log(2 * np.pi * self.variance).sum(axis=1)
        return np.asarray(-0.5 * (squares + constant))


class FullNormals(NamedTuple):
    """Normal distributions with any covariance: ``(S, C)`` means, ``(S, C, C)`` covariances."""

    mean: Values
    covariance: Values

    def log(self, values: Values) -> Values:
        """``(N, S)`` log density of ``(N, C)`` values."""
        away = values[None] - self.mean[:, None]  # (S, N, C)
        solved = np.linalg.solve(self.covariance, away.transpose(0, 2, 1)).transpose(0, 2, 1)
        squares = (away * solved).sum(axis=2)
        sign_and_size = np.linalg.slogdet(2 * np.pi * self.covariance)
        return np.asarray(-0.5 * (squares + sign_and_size.logabsdet[:, None]).T)


class CategoryShares(NamedTuple):
    """``(S, C)`` shares of the classes. The value of an image is one-hot, or its probabilities."""

    shares: Values

    def log(self, values: Values) -> Values:
        """``(N, S)`` log of the probability of the class, averaged over uncertain classes."""
        return np.asarray(np.log(values @ self.shares.T + EPSILON))


def diagonal_normals(values: Values, memberships: Memberships) -> DiagonalNormals:
    """Weighted means and variances of ``(N, D)`` values."""
    sizes = _sizes(memberships)
    mean = memberships.T @ values / sizes
    squares = memberships.T @ values**2 / sizes
    return DiagonalNormals(mean, np.maximum(squares - mean**2, 0) + RIDGE)


def full_normals(values: Values, memberships: Memberships) -> FullNormals:
    """Weighted means and covariances of ``(N, C)`` values."""
    sizes = _sizes(memberships)
    mean = memberships.T @ values / sizes
    away = values[None] - mean[:, None]
    covariance = np.einsum("ns,snc,snd->scd", memberships, away, away) / sizes[:, :, None]
    return FullNormals(mean, covariance + OUTPUT_RIDGE * np.eye(values.shape[1]))


def category_shares(values: Values, memberships: Memberships) -> CategoryShares:
    """Weighted means of one-hot classes or of probabilities, ``(N, C)``."""
    return CategoryShares(memberships.T @ values / _sizes(memberships))


def _sizes(memberships: Memberships) -> Values:
    """``(S, 1)`` images of each component, never 0."""
    return np.asarray(memberships.sum(axis=0)[:, None] + 10 * EPSILON)


class MixtureTerm(NamedTuple):
    """One observed quantity of a mixture.

    Attributes:
        values: ``(N, D)`` float64 values of the images.
        estimate: fits the density of the values in each component.
        weight: factor of the log density; with 0, the quantity only describes the components.
    """

    values: Values
    estimate: Callable[[Values, Memberships], SliceDensity]
    weight: float = 1.0


class SliceMixture(NamedTuple):
    """A fitted mixture of S components.

    Attributes:
        shares: ``(S,)`` share of each component.
        densities: the density of each quantity, in the order of the terms.
        weights: the weight of each quantity.
    """

    shares: Values
    densities: tuple[SliceDensity, ...]
    weights: tuple[float, ...]

    def log_joint(self, values: Sequence[Values]) -> Values:
        """``(N, S)`` weighted log density of images and components together."""
        total = np.log(self.shares + EPSILON)[None]
        for density, weight, value in zip(self.densities, self.weights, values, strict=True):
            if weight:
                total = total + weight * density.log(value)
        return np.asarray(total)

    def memberships(self, values: Sequence[Values]) -> Memberships:
        """``(N, S)`` probability of each component, of images with these values."""
        return _normalised(self.log_joint(values))[0]


def fitted_mixture(
    terms: Sequence[MixtureTerm], start: Memberships, *, tolerance: float = 1e-3
) -> SliceMixture:
    r"""Fit a mixture by expectation maximisation.

    .. math:: \log r_{is} = \log \pi_s + \sum_t \gamma_t \log p_t(v_{it} \mid s) + \mathrm{const}

    The M step sets shares and densities to those of the images, weighted by r.

    Source: Eyuboglu et al., "Domino: Discovering Systematic Errors with Cross-Modal Embeddings",
    ICLR 2022, HazyResearch/domino.

    Args:
        terms: what is observed of the N images.
        start: ``(N, S)`` memberships to start from.
        tolerance: the mean log density may change by less before the fit ends.

    Returns:
        The mixture after the last M step.
    """
    values = [term.values for term in terms]
    mixture, bound = _estimated(terms, start), -np.inf
    for _ in range(STEPS):
        memberships, density = _normalised(mixture.log_joint(values))
        mixture = _estimated(terms, memberships)
        if abs(density - bound) < tolerance:
            break
        bound = density
    return mixture


def _estimated(terms: Sequence[MixtureTerm], memberships: Memberships) -> SliceMixture:
    sizes = _sizes(memberships)[:, 0]
    densities = tuple(term.estimate(term.values, memberships) for term in terms)
    weights = tuple(term.weight for term in terms)
    return SliceMixture(sizes / len(memberships), densities, weights)


def _normalised(log_joint: Values) -> tuple[Memberships, float]:
    """Memberships, and the mean log density of the images."""
    from scipy.special import logsumexp

    density = logsumexp(log_joint, axis=1, keepdims=True)
    return np.exp(log_joint - density), float(density.mean())


def confusion_start(
    target: Values,
    probabilities: Values,
    *,
    components: int,
    generator: np.random.Generator,
    noise: float = 1e-3,
) -> Memberships:
    """Deal components round-robin to the cells of the confusion matrix.

    An image belongs to the components of its cell (target, prediction), plus noise in [0, 0.001).

    Source: Domino, as in yvsriram/FACTS (the released Domino names this start, but lacks it).

    Args:
        target: ``(N, C)`` one-hot classes.
        probabilities: ``(N, C)`` predicted probabilities.
        components: S, at least C².
        generator: source of the noise.
        noise: its range; it separates the components of one cell.
    """
    cells = (target[:, :, None] * probabilities[:, None, :]).reshape(len(target), -1)
    dealt = cells[:, np.arange(components) % cells.shape[1]]
    dealt = dealt / dealt.sum(axis=1, keepdims=True)
    noisy = dealt + noise * generator.random(dealt.shape)
    return np.asarray(noisy / noisy.sum(axis=1, keepdims=True))


def cluster_start(features: Values, *, components: int, seed: int) -> Memberships:
    """Each image belongs to its k-means cluster of the features.

    Args:
        features: ``(N, D)`` float64.
        components: S, at most N.
        seed: seed of k-means.
    """
    from sklearn.cluster import KMeans

    labels = KMeans(components, n_init=1, random_state=seed).fit_predict(features)
    return np.asarray(np.eye(components)[labels])
