"""Accuracy by the number of uncommon attributes: a table by hand, and what is left out."""

import math

import pytest
import torch

from debias.errors import InputError
from debias.metrics.accuracy.uncertainty import wilson_interval
from debias.metrics.shortcuts.uncommon import uncommon_report, uncommon_values
from debias.types import Attribute, Groups

GROUPS = Groups.product(
    ("cat", "dog"), [Attribute("time", ("day", "night")), Attribute("place", ("in", "out"))]
)
#: Cats: night has 8 of 100 images, out has 50. Dogs: night has 10 of 100, out has 9.
TRAIN = torch.tensor([46, 46, 4, 4, 81, 9, 10, 0])


def test_a_table_by_hand():
    """A cat at night has one uncommon value wherever it is. A dog has one outside; 10 of 100 is not
    below a tenth.
    """
    target = torch.arange(2).repeat_interleave(4)
    bias = torch.arange(4).repeat(2)
    counts = uncommon_values(target, bias, GROUPS, TRAIN).tolist()
    assert counts == [0, 0, 1, 1, 0, 1, 0, 1]
    two = uncommon_values(target, bias, GROUPS, TRAIN, below=0.11).tolist()
    assert two == [0, 0, 1, 1, 0, 1, 1, 2]
    unknown = uncommon_values(target, torch.full((8,), -1), GROUPS, TRAIN)
    assert unknown.tolist() == [-1] * 8


def test_the_report_has_accuracies_with_intervals():
    """Four images without an uncommon value, three right; two with one, none right; one unknown."""
    target = torch.tensor([0, 0, 1, 1, 0, 1, 0])
    bias = torch.tensor([0, 1, 0, 2, 2, 1, -1])
    prediction = torch.tensor([0, 0, 1, 0, 1, 0, 0])
    found = uncommon_report(prediction, target, bias, GROUPS, TRAIN)
    low, high = wilson_interval(torch.tensor([3, 0]), torch.tensor([4, 2]))
    assert found == {
        **{"accuracy/0": 0.75, "low/0": low[0].item(), "high/0": high[0].item(), "images/0": 4.0},
        **{"accuracy/1": 0.0, "low/1": 0.0, "high/1": high[1].item(), "images/1": 2.0},
        "drop": 0.75,
    }
    alone = uncommon_report(prediction[:3], target[:3], bias[:3], GROUPS, TRAIN)
    assert math.isnan(alone["drop"])


def test_the_drop_begins_at_the_fewest_attributes_that_images_have():
    """By day and inside are 5 of 100 cats each: two images have one of them, and one has both."""
    train = torch.tensor([1, 4, 4, 91, 50, 50, 0, 0])
    prediction, bias = torch.tensor([0, 1, 1]), torch.tensor([1, 2, 0])
    found = uncommon_report(prediction, torch.zeros(3), bias, GROUPS, train)
    assert (found["accuracy/1"], found["accuracy/2"], found["drop"]) == (0.5, 0.0, 0.5)


def test_one_attribute_is_enough_and_several_labels_are_refused():
    one = Groups(("cat", "dog"), ("in", "out"))
    train = torch.tensor([95, 5, 50, 50])
    assert uncommon_values(
        torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), one, train
    ).tolist() == [0, 1, 0]
    several = Groups(("not a", "a"), ("x",), multi_label=True)
    with pytest.raises(InputError, match="uncommon needs one class per sample"):
        uncommon_values(torch.zeros(1, 1), torch.zeros(1), several, torch.ones(2))
