"""Slices of classes as groups: their numbers by hand, and what both mixtures find."""

from dataclasses import replace

import numpy as np
import pytest

from debias.group_inference import class_slices as module
from debias.group_inference.class_slices import MIXTURES, class_slices
from debias.group_inference.slices import FoundSlices, PredictedImages
from tests.group_inference.test_slices import blobs

#: The component of each image by class, and how many components a class has.
COMPONENTS = {0: [0, 0, 1, 1, 1, 2, 3, 3, 3, 3], 1: [1, 1, 1, 0, 0, 0, 0, 2, 2]}
TARGET = np.repeat([0, 1], [10, 9])
#: The first image of class 0, and the last of class 1, do not count.
COUNTED = np.arange(19) % 18 != 0


def numbered(monkeypatch: pytest.MonkeyPatch, **options: int) -> list[list[int]]:
    """The numbers of the images of each class, for the components above."""

    def found(fitted: PredictedImages, judged: PredictedImages, **given: object) -> FoundSlices:
        component = COMPONENTS[int(judged.target[0])]
        assert set(fitted.target) == set(judged.target)
        return FoundSlices(np.eye(4)[component], np.array([0.9, 0.6, 0.3, 0.0]))

    monkeypatch.setattr(module, "facts_slices", found)
    images = PredictedImages(np.zeros((19, 1)), TARGET, np.zeros((19, 2)))
    numbers = class_slices(
        images, images, counted=COUNTED, generator=np.random.default_rng(0), **options
    )
    return [numbers[one == TARGET].tolist() for one in (0, 1)]


def test_numbers_by_hand(monkeypatch):
    """Counted images per component: 1, 3, 1, 4 of class 0, and 4, 3, 1, 0 of class 1."""
    assert numbered(monkeypatch, least=1, slices=1) == [
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 0, 0],
    ]
    # two slices at most, since class 1 has three components
    assert numbered(monkeypatch, least=1, slices=9) == [
        [1, 1, 2, 2, 2, 0, 0, 0, 0, 0],
        [2, 2, 2, 1, 1, 1, 1, 0, 0],
    ]
    assert numbered(monkeypatch, least=2, slices=9) == [
        [0, 0, 1, 1, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 0, 0],
    ]
    assert numbered(monkeypatch, least=4, slices=9) == [[0] * 10, [0] * 9]
    assert numbered(monkeypatch, least=5, slices=9) == [[0] * 10, [0] * 9]


def misled(seed: int) -> tuple[PredictedImages, np.ndarray]:
    """Two blobs of each class; the model is wrong in one of them."""
    images, _ = blobs(seed)
    wrong = images.features[:, 1] > 4
    shares = np.eye(2)[np.where(wrong, 1 - images.target, images.target)] * 0.96 + 0.02
    return replace(images, probabilities=shares), wrong


@pytest.mark.parametrize("mixture", MIXTURES)
def test_the_images_that_the_model_gets_wrong_are_a_slice(mixture):
    """In each class, on other images than those on which the mixture was fitted."""
    (fitted, _), (judged, wrong) = misled(0), misled(1)
    options = {"components": 4, "slices": 1, "mixture": mixture, "weight": 5.0}
    options |= {"counted": np.ones(200, bool)}
    first, second = (
        class_slices(fitted, judged, generator=np.random.default_rng(3), **options)
        for _ in range(2)
    )
    assert np.array_equal(first, second)
    for one in (0, 1):
        assert np.array_equal(first[judged.target == one] == 1, wrong[judged.target == one])


def test_weights_components_and_generator_reach_the_mixture(monkeypatch):
    given = {}

    def found(name, fitted, judged, **options):
        given[name] = options
        return FoundSlices(np.eye(2)[judged.target * 0], np.array([0.5, 0.0]))

    for name in MIXTURES:
        monkeypatch.setattr(module, f"{name}_slices", lambda *a, n=name, **o: found(n, *a, **o))
        images, _ = blobs()
        generator = np.random.default_rng(0)
        class_slices(
            images, images, counted=np.ones(200, bool), generator=generator, mixture=name,
            components=7, weight=3.0,
        )  # fmt: skip
        assert given[name].pop("generator") is generator
    shared = {"slices": 7, "components": 7}
    assert given == {
        "facts": shared | {"output_weight": 3.0},
        "domino": shared | {"prediction_weight": 3.0},
    }


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"mixture": "k-means"}, "mixture must be one of facts, domino; got 'k-means'"),
        ({"slices": 0}, "slices must be at least 1; got 0"),
        ({"least": 0}, "least must be at least 1; got 0"),
    ],
)
def test_what_it_refuses(option, message):
    images, _ = blobs()
    with pytest.raises(ValueError, match=message):
        class_slices(
            images, images, counted=np.ones(200, bool), generator=np.random.default_rng(0), **option
        )
