"""Fairness, F1, ranking and calibration of known sets: their numbers, and empty groups."""

from collections.abc import Callable

import pytest
import torch
from torchmetrics import Metric, MetricCollection

from debias.metrics.scores.by_bias import ranking_scalars
from debias.types import Groups
from tests.metrics.score_cases import (
    FAIRNESS,
    SCORES,
    GroupF1,
    GroupFairness,
    binary,
    every_case,
    scored_sets,
)

CASES = {case.name: case for case in every_case()}
SETS = {case.name: case for case in scored_sets()}
UNUSED = {"multiclass_holisticai"}


@pytest.mark.skipif(not FAIRNESS, reason="golden files are not at hand")
def test_every_golden_case_is_tested() -> None:
    assert {*FAIRNESS, *SCORES} - UNUSED <= {*CASES, *SETS}


@pytest.mark.parametrize("name", SETS)
def test_probabilities_give_the_known_numbers(name: str) -> None:
    case = SETS[name]
    found = case.found()
    for key, expected in case.expected.items():
        assert found[key] == pytest.approx(expected, abs=case.tolerance, rel=0, nan_ok=True), key


@pytest.mark.parametrize("name", SETS)
def test_an_empty_group_that_is_declared_changes_no_number_of_scores(name: str) -> None:
    found, before = SETS[name].with_an_empty_group().found(), SETS[name].found()
    assert before == pytest.approx({key: found[key] for key in before}, nan_ok=True)


@pytest.mark.parametrize("name", CASES)
def test_an_empty_group_that_is_declared_changes_nothing(name: str) -> None:
    case = CASES[name].with_an_empty_group()
    found, before = case.whole(), CASES[name].whole()
    case.assert_known(found)
    assert before == pytest.approx({key: found[key] for key in before}, nan_ok=True)


@pytest.mark.parametrize("kind", [GroupFairness, GroupF1])
def test_a_collection_never_joins_two_of_them(kind: Callable[[Groups], Metric]) -> None:
    """Equal after the first batch, different after the second."""
    collection = MetricCollection({name: kind(binary(2)) for name in ("place", "object")})
    prediction, target, bias = torch.tensor([[0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
    collection.update(prediction, target, bias)
    collection["place"].update(prediction, 1 - target, bias)
    found = collection.compute()
    keys = {key.removeprefix("place_") for key in found if key.startswith("place_")}
    assert {key for key in keys if found[f"place_{key}"].item() != found[f"object_{key}"].item()}
    assert len(collection.compute_groups) == 2


def test_scores_keep_their_precision() -> None:
    """Two scores that are one float32: the positive is the higher, so the area is 1 and no tie."""
    positive = torch.tensor([0.5, 0.5 + 1e-12], dtype=torch.float64)
    probabilities = torch.stack((1 - positive, positive), dim=1)
    found = ranking_scalars(probabilities, torch.tensor([0, 1]), torch.tensor([0, 0]), binary(1))
    assert found["auroc"].item() == 1.0


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (torch.zeros(3), torch.zeros(3).long(), r"scores must be \(3, 2\) floats"),
        (torch.zeros(3, 3), torch.zeros(3).long(), r"scores must be \(3, 2\) floats"),
        (torch.zeros(3, 2).long(), torch.zeros(3).long(), r"scores must be \(3, 2\) floats"),
        (torch.zeros(3, 2), torch.zeros(3), "target must hold integers"),
    ],
)
def test_scores_of_the_wrong_form_are_refused(
    scores: torch.Tensor, target: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ranking_scalars(scores, target, torch.zeros(3, dtype=torch.long), binary(2))
