"""The Spotlight beside the authors' code, and where it lands."""

import numpy as np
import pytest

from debias.audits.slices.spotlight import _objective, spotlights
from debias.errors import InputError

CENTRES = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 3], [-3, -3, 0]])
STEP = np.arange(200)


def five_blobs() -> np.ndarray:
    """Standardised points of five blobs, from sines."""
    noise = np.stack([np.sin(7 * STEP), np.sin(11 * STEP + 1), np.sin(13 * STEP + 2)], axis=1)
    points = CENTRES[STEP % 5] + 0.6 * noise
    return ((points - points.mean(axis=0)) / points.std(axis=0)).astype(np.float32)


def test_the_search_agrees_with_the_authors_code():
    """gregdeon/spotlight as copied in HazyResearch/domino: 1,000 steps with learning rate 1e-3."""
    losses = (STEP % 5 == 4).astype(np.float32)
    (found,) = spotlights(five_blobs(), losses, count=1, learning_rate=1e-3)
    assert found.centre == pytest.approx([-1.17707, -1.17707, -1.17612], abs=1e-4)
    assert found.precision == pytest.approx(2.5639e-4, rel=1e-3)


def test_the_first_spotlight_lies_on_the_blob_of_large_loss_and_the_second_on_the_next():
    points, blob = five_blobs(), STEP % 5
    losses = np.array([0, 0, 0, 0.5, 1], np.float32)[blob]
    (first,) = (
        np.bincount(blob, one.weights(points)) for one in spotlights(points, losses, count=1)
    )
    assert first[4] >= 0.95 * first.sum()
    assert first.sum() >= 0.02 * 200
    first, second = (
        np.bincount(blob, one.weights(points))
        for one in spotlights(points, losses, count=2, smallest=0.1)
    )
    assert first[4] >= 0.95 * first.sum()
    assert second[3] >= 0.95 * second.sum()


def test_the_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    points, losses, place = rng.normal(size=(30, 4)), rng.random(30), rng.normal(size=5)
    expected = [
        _objective(points, losses, place + 1e-6 * one, 3.0, 9.0)[0]
        - _objective(points, losses, place - 1e-6 * one, 3.0, 9.0)[0]
        for one in np.eye(5)
    ]
    gradient = _objective(points, losses, place, 3.0, 9.0)[1]
    assert gradient == pytest.approx(np.array(expected) / 2e-6, rel=1e-6)


def test_options_are_checked():
    with pytest.raises(InputError, match="count"):
        spotlights(five_blobs(), np.ones(200, np.float32), count=0)
    with pytest.raises(InputError, match="learning_rate"):
        spotlights(five_blobs(), np.ones(200, np.float32), learning_rate=0)
