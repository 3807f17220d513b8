"""The mixture of Domino and FACTS beside the authors' code, and what it finds."""

import numpy as np
import pytest
import torch

from debias.audits.slices.discovery import (
    PredictedImages,
    domino_slices,
    facts_slices,
    principal_directions,
)
from debias.audits.slices.mixture import (
    MixtureTerm,
    category_shares,
    cluster_start,
    confusion_start,
    diagonal_normals,
    fitted_mixture,
    full_normals,
)
from debias.errors import InputError
from debias.metrics.scores.retrieval import slice_match

#: 120 images from sines, so that no random generator decides.
STEP = np.arange(120)
FEATURES = np.stack([np.sin(7 * STEP) + 3 * (STEP % 3), np.sin(11 * STEP + 1) + 2 * (STEP % 2)], 1)
SECOND = 0.5 + 0.45 * np.sin(5 * STEP + STEP % 3)
PROBABILITIES = np.stack([1 - SECOND, SECOND], axis=1)


def test_domino_agrees_with_the_authors_code():
    """FACTS' copy of Domino's mixture (yvsriram/FACTS), from the same responsibilities."""
    target = np.eye(2)[STEP % 2]
    start = confusion_start(
        target, PROBABILITIES, components=8, generator=np.random.default_rng(0), noise=0
    )
    start = start * (1 + 0.001 * np.sin(np.arange(960).reshape(120, 8)))
    mixture = fitted_mixture(
        [
            MixtureTerm(FEATURES, diagonal_normals),
            MixtureTerm(target, category_shares),
            MixtureTerm(PROBABILITIES, category_shares),
        ],
        start / start.sum(axis=1, keepdims=True),
    )
    shares = [0.128138, 0.121867, 0.121467, 0.12853, 0.128131, 0.121864, 0.121466, 0.128536]
    predicted = [0.458179, 0.524741, 0.475334, 0.543752, 0.458179, 0.524742, 0.475336, 0.543753]
    assert mixture.shares == pytest.approx(shares, abs=1e-6)
    assert mixture.densities[2].shares[:, 1] == pytest.approx(predicted, abs=1e-6)


def test_facts_agrees_with_the_authors_code():
    """CoSi's mixture: outputs as normal distributions of any covariance, with weight 25."""
    target = np.eye(2)[np.zeros(120, int)]
    start = np.exp(-((FEATURES[:, :1] - np.linspace(-1, 7, 5)) ** 2))
    mixture = fitted_mixture(
        [
            MixtureTerm(FEATURES, diagonal_normals),
            MixtureTerm(target, category_shares, 0.0),
            MixtureTerm(PROBABILITIES, category_shares, 0.0),
            MixtureTerm(PROBABILITIES, full_normals, 25.0),
        ],
        start / start.sum(axis=1, keepdims=True),
        tolerance=1e-7,
    )
    assert mixture.shares == pytest.approx([0.224987, 0.191661, 0.158322, 0.275, 0.15003], abs=1e-6)
    predicted = [0.912955, 0.327485, 0.565106, 0.103395, 0.76316]
    assert mixture.densities[2].shares[:, 1] == pytest.approx(predicted, abs=1e-6)


def test_densities_are_those_of_scipy():
    from scipy.stats import multivariate_normal

    memberships = confusion_start(
        np.eye(2)[STEP % 2], PROBABILITIES, components=4, generator=np.random.default_rng(0)
    )
    diagonal = diagonal_normals(FEATURES, memberships)
    full = full_normals(FEATURES, memberships)
    for component in range(4):
        expected = multivariate_normal(
            diagonal.mean[component], np.diag(diagonal.variance[component])
        )
        assert diagonal.log(FEATURES)[:, component] == pytest.approx(expected.logpdf(FEATURES))
        expected = multivariate_normal(full.mean[component], full.covariance[component])
        assert full.log(FEATURES)[:, component] == pytest.approx(expected.logpdf(FEATURES))


def test_the_start_deals_components_to_cells():
    """Sure predictions: 1 + e in the components of the own cell, e in the others, normalised."""
    target = np.eye(2)[[0, 0, 1]]
    start = confusion_start(
        target, np.eye(2)[[0, 1, 1]], components=6, generator=np.random.default_rng(0), noise=1e-3
    )
    assert [set(np.flatnonzero(row > 0.4)) for row in start] == [{0, 4}, {1, 5}, {3}]
    assert start.sum(axis=1) == pytest.approx(np.ones(3))
    assert start[0, 0] != start[0, 4]
    assert cluster_start(FEATURES, components=3, seed=0).sum(axis=0).min() > 0


def blobs(seed: int = 0) -> tuple[PredictedImages, np.ndarray]:
    """Four blobs of 50 images, well apart; the model errs in blob 3 alone."""
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(4), 50)
    features = 8.0 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[place] + rng.normal(size=(200, 2))
    target = place % 2
    share = np.eye(2)[np.where(place == 3, 1 - target, target)] * 0.98 + 0.01
    return PredictedImages(features, target, share), place == 3


@pytest.mark.parametrize(("start", "components"), [("confusion", 8), ("clusters", 4)])
def test_the_blob_of_errors_is_the_first_slice(start, components):
    images, wrong = blobs()
    judged, _ = blobs(1)
    found = domino_slices(
        images,
        judged,
        generator=np.random.default_rng(0),
        components=components,
        start=start,
        slices=2,
    )
    assert found.gaps[0] > 0.9
    top = found.memberships[:, 0].argsort()[::-1][:10]
    assert wrong[top].all()
    scores = slice_match(torch.from_numpy(found.memberships), torch.from_numpy(wrong[:, None]))
    assert scores.precision_at_10.item() == 1


def test_facts_finds_the_images_of_a_class_that_the_shortcut_misleads():
    """Within class 1, the model reads the shortcut alone: blob 3 lacks it."""
    images, wrong = blobs()
    judged, _ = blobs(1)
    one = images.target == 1
    found = facts_slices(
        images.take(one), judged.take(one), generator=np.random.default_rng(0), components=6
    )
    top = found.memberships[:, 0].argsort()[::-1][:10]
    assert wrong[one][top].all()
    assert found.gaps[0] > 0.9


def test_too_few_images_and_unknown_starts_are_refused():
    images, _ = blobs()
    with pytest.raises(InputError, match="at least 4"):
        domino_slices(images.take(np.arange(3)), images, generator=np.random.default_rng(0))
    with pytest.raises(InputError, match="start"):
        domino_slices(images, images, generator=np.random.default_rng(0), start="k-means")


def test_directions_hold_the_variance_in_either_form():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(6, 20))
    for features in (wide, np.concatenate([wide] * 5)):
        directions = principal_directions(features, 5)
        kept = (features - features.mean(axis=0)) @ directions
        assert directions.T @ directions == pytest.approx(np.eye(5), abs=1e-9)
        assert (kept**2).sum() == pytest.approx(((features - features.mean(axis=0)) ** 2).sum())
        assert (np.diff((kept**2).sum(axis=0)) <= 1e-9).all()
