"""Which families can be measured, and how many images are of no group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from debias.build import Parts
from debias.data.examples import Examples
from debias.recipes.evaluation import measure, with_labels
from debias.recipes.families import CONDITIONS, Evidence
from debias.training import Predicted
from tests.fakes import GROUPS


@pytest.fixture
def examples() -> Examples:
    """Two training and four test images, the last of unknown bias, all with masks."""
    names = tuple(f"{row}.png" for row in range(6))
    target, bias = torch.tensor([0, 1, 0, 1, 0, 1]), torch.tensor([0, 1, 0, 1, 1, -1])
    split = torch.tensor([0, 0, 2, 2, 2, 2])
    return Examples(Path("pictures"), names, target, bias, split, GROUPS, Path("table.csv"), Path("masks"), names)


def evidence_of(examples: Examples) -> Evidence:
    rows = examples.rows("test")
    predictions = with_labels(examples, Predicted(rows, torch.tensor([[1.0, 0.0]] * 4)))
    parts = Parts(examples, None, None, "cpu", "32-true")  # type: ignore[arg-type]  # neither pictures nor a model
    return Evidence(predictions, GROUPS, parts=parts)


def test_an_image_of_unknown_bias_counts_in_the_average_and_in_no_group(examples: Examples) -> None:
    """Everything is taken for a landbird: 2 of 4 images are right, and the fourth is in none of the groups."""
    report = measure(evidence_of(examples).predictions, examples)
    assert report["unknown"] == 1
    assert [group["count"] for group in report["groups"]] == [1, 1, 0, 1]
    assert report["scalars"]["average"] == 0.5


def test_masks_are_wanted_of_the_images_that_are_measured(examples: Examples) -> None:
    """Whether the training images have any does not matter."""

    def missing(*masks: str) -> str:
        return CONDITIONS["masks"](evidence_of(replace(examples, masks=masks)))

    mask = "mask.png"
    assert missing(mask, mask, mask, mask, mask, mask) == ""
    assert missing("", "", mask, mask, mask, mask) == ""
    reason = "not every test image has a foreground mask: see `debias masks`"
    assert missing(mask, mask, mask, mask, mask, "") == reason
    assert missing() == reason
