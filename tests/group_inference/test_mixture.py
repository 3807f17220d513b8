"""The mixture of Domino and FACTS beside the authors' code, and its densities."""

import numpy as np
import pytest

from debias.group_inference.mixture import (
    MixtureTerm,
    category_shares,
    cluster_start,
    confusion_start,
    diagonal_normals,
    fitted_mixture,
    full_normals,
)

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


def test_without_weight_it_is_the_gaussian_mixture():
    """scikit-learn's, from the first M step: the same shares, means and variances."""
    from sklearn.mixture import GaussianMixture

    start = cluster_start(FEATURES, components=3, seed=0) + 0.05
    start = start / start.sum(axis=1, keepdims=True)
    terms = [
        MixtureTerm(FEATURES, diagonal_normals),
        MixtureTerm(PROBABILITIES, category_shares, 0.0),
        MixtureTerm(PROBABILITIES, full_normals, 0.0),
    ]
    found = fitted_mixture(terms, start, tolerance=1e-7)
    first = diagonal_normals(FEATURES, start)
    expected = GaussianMixture(
        3, covariance_type="diag", tol=1e-7, reg_covar=1e-6, weights_init=start.mean(axis=0),
        means_init=first.mean, precisions_init=1 / first.variance,
    ).fit(FEATURES)  # fmt: skip
    assert found.shares == pytest.approx(expected.weights_, abs=1e-9)
    assert found.densities[0].mean == pytest.approx(expected.means_, abs=1e-9)
    assert found.densities[0].variance == pytest.approx(expected.covariances_, abs=1e-9)
    values = [FEATURES, PROBABILITIES, PROBABILITIES]
    assert found.memberships(values) == pytest.approx(expected.predict_proba(FEATURES), abs=1e-8)
