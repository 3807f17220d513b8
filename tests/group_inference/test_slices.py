"""What the mixtures of Domino and FACTS find."""

import numpy as np
import pytest
import torch

from debias.errors import InputError
from debias.group_inference.mixture import CategoryShares, DiagonalNormals, SliceMixture
from debias.group_inference.slices import (
    PredictedImages,
    _directions,
    _largest,
    domino_slices,
    facts_slices,
    principal_directions,
)
from debias.metrics.scores.retrieval import matched_precision


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
    true = torch.from_numpy(wrong[:, None])
    assert matched_precision(torch.from_numpy(found.memberships), true).item() == 1


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


@pytest.mark.parametrize("find", [facts_slices, domino_slices])
def test_a_large_weight_makes_slices_of_the_predicted_class(find):
    """Two blobs of one class, and predictions that have nothing to do with them."""
    rng, blob = np.random.default_rng(0), np.arange(120) % 2
    features = 6.0 * blob[:, None] + rng.normal(size=(120, 3))
    second = np.where(np.arange(120) % 3 == 0, 0.8, 0.1) + 0.02 * rng.normal(size=120)
    images = PredictedImages(features, np.zeros(120, np.int64), np.stack([1 - second, second], 1))
    agreed = []
    for weight in (0.0, 1e4):
        option = {"output_weight" if find is facts_slices else "prediction_weight": weight}
        generator = np.random.default_rng(0)
        found = find(images, images, generator=generator, components=4, slices=4, **option)
        slices = found.memberships.argmax(axis=1)
        for labels in (blob, second > 0.5):
            pure = [len(set(labels[slices == one])) == 1 for one in set(slices)]
            agreed.append(len(pure) > 1 and all(pure))
    # Domino's looser tolerance ends the fit without weight before the blobs are apart
    assert agreed == [find is facts_slices, False, False, True]


def test_images_follow_each_other():
    images, _ = blobs()
    joined = images.take(np.arange(3)).followed_by(images.take(np.arange(100, 102)))
    rows = [0, 1, 2, 100, 101]
    assert np.array_equal(joined.features, images.features[rows])
    assert np.array_equal(joined.target, images.target[rows])
    assert np.array_equal(joined.probabilities, images.probabilities[rows])


def test_the_gap_is_the_largest_excess_of_a_predicted_class():
    """Of three classes: 0.4 and 0.6, although the first component has fewer right predictions."""
    actual = CategoryShares(np.array([[1.0, 0.0, 0.0]] * 2))
    predicted = CategoryShares(np.array([[0.2, 0.4, 0.4], [0.4, 0.6, 0.0]]))
    place = DiagonalNormals(np.array([[0.0], [9.0]]), np.ones((2, 1)))
    mixture = SliceMixture(np.full(2, 0.5), (place, actual, predicted), (1.0, 0.0, 1.0))
    # between both places, with class 1 predicted: 0.4 of the first component, 0.6 of the second
    values = (np.array([[4.5]]), np.zeros((1, 3)), np.array([[0.0, 1.0, 0.0]]))
    found = _largest(mixture, values, 2, blind=False)
    assert found.gaps == pytest.approx([0.6, 0.4])
    assert found.memberships == pytest.approx(np.array([[0.6, 0.4]]))
    blind = _largest(mixture, values, 2, blind=True)
    assert blind.memberships == pytest.approx(np.array([[0.5, 0.5]]))


def test_the_size_of_a_mixture_follows_its_images():
    """A component has at least two images, and a principal direction about eight."""
    images = blobs()[0].take(np.arange(0, 200, 20))
    found = facts_slices(images, images, generator=np.random.default_rng(0), slices=36)
    assert len(found.gaps) == 5
    for count, size in ((7, 1), (16, 3)):
        few = PredictedImages(np.eye(count), np.zeros(count, np.int64), np.ones((count, 1)))
        assert _directions(few).shape == (count, size)
