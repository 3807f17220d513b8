"""Slices of wrong predictions by Domino's mixture, and by the second phase of FACTS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.errors import InputError, check_one_of
from debias.group_inference.mixture import (
    CategoryShares,
    Memberships,
    MixtureTerm,
    SliceDensity,
    SliceMixture,
    Values,
    category_shares,
    cluster_start,
    confusion_start,
    diagonal_normals,
    fitted_mixture,
    full_normals,
)

#: Principal directions of the features that a mixture sees, at most one per 8 images.
DIRECTIONS = 128
STARTS = ("confusion", "clusters")
#: Densities of what a mixture sees: features, classes, predictions as classes and as numbers.
ESTIMATES: tuple[Callable[[Values, Memberships], SliceDensity], ...] = (
    diagonal_normals,
    category_shares,
    category_shares,
    full_normals,
)


@dataclass(frozen=True)
class PredictedImages:
    """Images with what a model says of them.

    Args:
        features: ``(N, D)`` float64 features, of the model or of a frozen network.
        target: ``(N,)`` int64 class.
        probabilities: ``(N, C)`` float64 predicted probabilities.
    """

    features: Values
    target: NDArray[np.int64]
    probabilities: Values

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "PredictedImages":
        """Some of the images."""
        return PredictedImages(self.features[rows], self.target[rows], self.probabilities[rows])

    def followed_by(self, others: "PredictedImages") -> "PredictedImages":
        """These images, and then the others."""
        return PredictedImages(
            np.concatenate([self.features, others.features]),
            np.concatenate([self.target, others.target]),
            np.concatenate([self.probabilities, others.probabilities]),
        )

    def reduced(self, fitted: NDArray[np.bool_], *, most: int) -> Values:
        """``(N, d)`` principal components with a mean variance of 1, as fitted on some images."""
        centred = self.features - self.features[fitted].mean(axis=0)
        values = centred @ principal_directions(self.features[fitted], most)
        return np.asarray(values / max(float(values[fitted].std()), 1e-12))

    @property
    def one_hot(self) -> Values:
        """``(N, C)`` classes as 0 and 1."""
        return np.asarray(np.eye(self.probabilities.shape[1])[self.target])


class FoundSlices(NamedTuple):
    """Slices in the order of their gap, largest first.

    Attributes:
        memberships: ``(M, T)`` float64 probability of each slice, for the judged images. The other
            components have the rest of the probability.
        gaps: ``(T,)`` largest excess of the share of a predicted class over that of the class.
    """

    memberships: Memberships
    gaps: Values


def principal_directions(features: Values, most: int = DIRECTIONS) -> Values:
    """``(D, d)`` principal directions of ``(N, D)`` features, largest first; d is at most N."""
    centred = features - features.mean(axis=0)
    rows, columns = centred.shape
    count = min(most, rows, columns)
    if rows < columns:
        vectors = np.linalg.eigh(centred @ centred.T)[1][:, ::-1][:, :count]
        long = centred.T @ vectors
        return np.asarray(long / np.maximum(np.linalg.norm(long, axis=0), 1e-12))
    return np.asarray(np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count])


def domino_slices(
    fitted: PredictedImages,
    judged: PredictedImages,
    *,
    generator: np.random.Generator,
    slices: int = 5,
    components: int = 25,
    target_weight: float = 1.0,
    prediction_weight: float = 1.0,
    start: str = "confusion",
    blind: bool = False,
) -> FoundSlices:
    """Find slices of systematic errors by a mixture over features, classes and predictions.

    Source: Eyuboglu et al., "Domino: Discovering Systematic Errors with Cross-Modal Embeddings",
    ICLR 2022, HazyResearch/domino.

    Args:
        fitted: images on which the mixture is fitted.
        judged: other images, whose memberships are returned. A slice that is scored on the images
            on which it was found always looks bad.
        generator: source of the start.
        slices: number of slices T: the components with the largest gap.
        components: number of components S of the mixture, at most half of the images.
        target_weight: weight of the class in the likelihood. The paper has larger ones.
        prediction_weight: weight of the prediction.
        start: "confusion" deals the components to the cells of the confusion matrix; "clusters"
            starts from k-means. With fewer components than cells, it is "clusters".
        blind: whether the memberships ignore the predictions. Judge the accuracy of a slice by such
            memberships: with the predictions, wrong images are in it because they are wrong.

    Raises:
        ValueError: ``start`` is unknown, or there are fewer than four images.

    Differs from the reference: its documented default start is "confusion", its signature says
    k-means, and its release has only the latter. Without labels, it returns the least telling
    components.
    """
    check_one_of(STARTS, {"start": start})
    mixture = _Mixture((1.0, target_weight, prediction_weight), components, start)
    return mixture.slices(fitted, judged, slices, generator, blind=blind)


def facts_slices(
    fitted: PredictedImages,
    judged: PredictedImages,
    *,
    generator: np.random.Generator,
    slices: int = 10,
    components: int = 36,
    output_weight: float = 25.0,
    blind: bool = False,
) -> FoundSlices:
    """Find slices of one class, from the outputs of a model that takes the shortcut.

    The mixture sees features and outputs: the outputs as normal distributions with any covariance.
    Train the model with strong weight decay first, so that it relies on the shortcut alone.

    Source: Yenamandra et al., "FACTS: First Amplify Correlations and Then Slice", ICCV 2023,
    yvsriram/FACTS.

    Args:
        fitted: images of one class.
        judged: other images of this class.
        generator: source of the start.
        slices: number of slices.
        components: number of components, at most half of the images. With fewer than the cells of
            the confusion matrix, the start is k-means.
        output_weight: weight of the outputs in the likelihood.
        blind: as in :func:`domino_slices`.

    Raises:
        ValueError: there are fewer than four images.

    Differs from the reference: there the start has no noise, so that the components of a cell of
    the confusion matrix stay equal, and one class has as many different slices as there are
    classes.
    """
    mixture = _Mixture((1.0, 0.0, 0.0, output_weight), components, tolerance=1e-7)
    return mixture.slices(fitted, judged, slices, generator, blind=blind)


class _Mixture(NamedTuple):
    """How a mixture is fitted.

    Attributes:
        weights: weight of features, classes and predictions; and of the predictions as normal
            distributions, if these count.
        components: number of components, at most half of the images.
        start: one of ``STARTS``.
        tolerance: as for :func:`~debias.group_inference.mixture.fitted_mixture`.
    """

    weights: tuple[float, ...]
    components: int
    start: str = "confusion"
    tolerance: float = 1e-3

    def slices(
        self,
        fitted: PredictedImages,
        judged: PredictedImages,
        count: int,
        generator: np.random.Generator,
        *,
        blind: bool,
    ) -> FoundSlices:
        """Fit the mixture on some images, and give the slices of the others."""
        directions = _directions(fitted)
        seen = _observed(fitted, directions)
        terms = [MixtureTerm(*each) for each in zip(seen, ESTIMATES, self.weights, strict=False)]
        first = _started(fitted, seen[0], self.components, self.start, generator)
        mixture = fitted_mixture(terms, first, tolerance=self.tolerance)
        values = _observed(judged, directions)[: len(terms)]
        return _largest(mixture, values, count, blind)


def _observed(images: PredictedImages, directions: Values) -> tuple[Values, ...]:
    """What a mixture may see of images, one for each of ``ESTIMATES``."""
    features, outputs = images.features @ directions, images.probabilities
    return features, images.one_hot, outputs, outputs


def _directions(fitted: PredictedImages) -> Values:
    if len(fitted) < 4:
        raise InputError(f"slices need at least 4 images to be found on; got {len(fitted)}")
    return principal_directions(fitted.features, min(DIRECTIONS, len(fitted) // 8 + 1))


def _started(
    fitted: PredictedImages,
    features: Values,
    components: int,
    start: str,
    generator: np.random.Generator,
) -> Memberships:
    count = min(components, len(fitted) // 2)
    if start == "confusion" and count >= fitted.probabilities.shape[1] ** 2:
        return confusion_start(
            fitted.one_hot, fitted.probabilities, components=count, generator=generator
        )
    return cluster_start(features, components=count, seed=int(generator.integers(2**31)))


def _largest(
    mixture: SliceMixture, values: Sequence[Values], slices: int, blind: bool
) -> FoundSlices:
    """The slices of largest gap; the second and third density are of classes and predictions."""
    actual, predicted = mixture.densities[1], mixture.densities[2]
    assert isinstance(actual, CategoryShares)
    assert isinstance(predicted, CategoryShares)
    gaps = (predicted.shares - actual.shares).max(axis=1)
    chosen = np.argsort(-gaps, kind="stable")[:slices]
    if blind:
        mixture = mixture._replace(weights=mixture.weights[:2] + (0.0,) * (len(values) - 2))
    return FoundSlices(mixture.memberships(values)[:, chosen], gaps[chosen])
