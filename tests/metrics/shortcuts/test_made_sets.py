"""Numbers of cue conflicts and of variants of pictures, by hand."""

import math

import pytest
import torch

from debias.metrics.shortcuts.cues import class_scores
from debias.metrics.shortcuts.made_sets import (
    cue_conflict_report,
    cues_are_classes,
    variant_report,
)
from debias.types import Groups

nan = math.nan
#: The values of the texture are in another order than the classes, and one class is no texture.
CUES = Groups(("bear", "cat", "dog"), ("dog", "bear"))


def test_class_scores_are_logs_of_mean_probabilities():
    """Three dogs of probability 0.2 have the mean 0.2, below the one cat with 0.25; the sum would
    say dog. The class without a coarse class counts in the softmax, and nowhere else.
    """
    logits = torch.tensor([[0.2, 0.2, 0.2, 0.25, 0.15]]).log() + 3
    scores = class_scores(logits, torch.tensor([1, 1, 1, 0, -1]), classes=2)
    assert scores.exp().tolist() == [[pytest.approx(0.25), pytest.approx(0.2)]]


def test_one_fine_class_each_keeps_the_order_of_the_logits():
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    mapping = torch.tensor([2, -1, 0, 3, -1, 1])
    inside = logits[:, [2, 5, 0, 3]]
    assert torch.equal(
        class_scores(logits, mapping, classes=4).argsort(dim=1), inside.double().argsort(dim=1)
    )


def test_shape_bias_by_hand():
    """Seven pictures with known cues, one of them without conflict, and one of unknown texture.

    shape    bear bear bear cat cat dog dog | cat
    texture  dog  dog  bear dog bear bear bear | unknown
    answer   bear dog  bear cat dog bear cat | cat

    Of the six conflicts, the answer follows the shape twice (bear, cat) and the texture twice (dog,
    bear); a cat with the texture of a bear is called dog, and a dog with that of a bear cat.
    """
    shape = torch.tensor([0, 0, 0, 1, 1, 2, 2, 1])
    texture = torch.tensor([0, 0, 1, 0, 1, 1, 1, -1])
    answer = torch.tensor([0, 2, 0, 1, 2, 0, 1, 1])
    assert cue_conflict_report(answer, shape, texture, CUES) == {
        "shape_bias": 0.5,
        "shape_fraction": pytest.approx(2 / 7),
        "texture_fraction": pytest.approx(2 / 7),
        "shape_accuracy": pytest.approx(2 / 6),
        "shape_bias/bear": 0.5,
        "shape_bias/cat": 1.0,
        "shape_bias/dog": 0.0,
    }


def test_a_class_whose_cues_are_never_followed_has_no_shape_bias():
    report = cue_conflict_report(torch.tensor([1]), torch.tensor([0]), torch.tensor([0]), CUES)
    assert {key: value for key, value in report.items() if key.startswith("shape_bias")} == {
        key: pytest.approx(nan, nan_ok=True)
        for key in ("shape_bias", "shape_bias/bear", "shape_bias/cat", "shape_bias/dog")
    }


def test_bias_values_that_are_no_classes_are_no_cues():
    assert cues_are_classes(CUES)
    assert not cues_are_classes(Groups(("bear", "cat"), ("cat", "land")))
    assert not cues_are_classes(Groups(("no", "yes"), ("yes",), multi_label=True))


def test_accuracy_of_each_variant_by_hand():
    """Two of three on same-class backgrounds and one of two on any: the gap is 2/3 - 1/2."""
    groups = Groups(("a", "b"), ("mixed_rand", "mixed_same", "original"))
    target = torch.tensor([0, 1, 0, 1, 0, 0])
    answer = torch.tensor([0, 0, 0, 1, 1, 0])
    variant = torch.tensor([0, 0, 1, 1, 1, -1])
    assert variant_report(answer, target, variant, groups) == {
        "accuracy/mixed_rand": 0.5,
        "accuracy/mixed_same": pytest.approx(2 / 3),
        "accuracy/original": pytest.approx(nan, nan_ok=True),
        "background_gap": pytest.approx(1 / 6),
    }
