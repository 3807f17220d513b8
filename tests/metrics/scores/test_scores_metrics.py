"""Fairness, F1, ranking, calibration: empty groups, refusals; numbers are in ``test_handed.py``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torchmetrics import Metric, MetricCollection

from debias.metrics.exact_metrics import GroupCounts
from debias.metrics.scores.calibration import (
    by_bias,
    decision_confidence,
    reliability,
    reliability_curve,
)
from debias.metrics.scores.group_scores import GroupCalibration, GroupF1, GroupRanking
from debias.types import Groups
from tests.metrics.score_cases import (
    FAIRNESS,
    SCORES,
    GroupFairness,
    binary,
    every_case,
    worked_ranking,
)

CASES = {case.name: case for case in every_case()}
UNUSED = {"multiclass_holisticai"}


@pytest.mark.skipif(not FAIRNESS, reason="golden files are not at hand")
def test_every_golden_case_is_tested() -> None:
    assert {*FAIRNESS, *SCORES} - UNUSED <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_empty_group_that_is_declared_changes_nothing(name: str) -> None:
    case = CASES[name].with_an_empty_group()
    found, before = case.whole(), CASES[name].whole()
    case.assert_known(found)
    assert before == pytest.approx({key: found[key] for key in before}, nan_ok=True)


@pytest.mark.parametrize("kind", [GroupFairness, GroupF1, GroupRanking, GroupCalibration])
def test_a_collection_never_joins_two_of_them(kind: Callable[[Groups], Metric]) -> None:
    """Equal after the first batch, different after the second."""
    collection = MetricCollection({name: kind(binary(2)) for name in ("place", "object")})
    probabilities = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    counted = isinstance(collection["place"], GroupCounts)
    first = probabilities.argmax(dim=1) if counted else probabilities
    target, bias = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 1])
    collection.update(first, target, bias)
    collection["place"].update(first, 1 - target, bias)
    found = collection.compute()
    keys = {key.removeprefix("place_") for key in found if key.startswith("place_")}
    assert {key for key in keys if found[f"place_{key}"].item() != found[f"object_{key}"].item()}
    assert len(collection.compute_groups) == 2


@pytest.mark.parametrize("kind", [GroupRanking, GroupCalibration])
def test_update_waits_for_no_device(kind: type) -> None:
    """Meta tensors have no values: whatever would read one raises on them."""
    metric = kind(binary(2)).to("meta")
    indices = torch.empty(8, dtype=torch.long, device="meta")
    metric.update(torch.empty(8, 2, device="meta"), indices, indices)
    with pytest.raises((RuntimeError, NotImplementedError)):
        metric.compute()


def test_scores_keep_their_precision() -> None:
    """Two scores that are one float32: the positive is the higher, so the area is 1 and no tie."""
    metric = GroupRanking(binary(1))
    positive = torch.tensor([0.5, 0.5 + 1e-12], dtype=torch.float64)
    metric.update(
        torch.stack((1 - positive, positive), dim=1), torch.tensor([0, 1]), torch.tensor([0, 0])
    )
    assert metric.compute()["auroc"].item() == 1.0


def test_a_ranking_without_a_sample_is_undefined_and_reset_forgets() -> None:
    case = worked_ranking()
    metric = GroupRanking(case.groups)
    metric.update(case.prediction, case.target, case.bias)
    metric.reset()
    metric.update(
        torch.empty(0, 2), torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long)
    )
    assert all(value.isnan() for value in metric.compute().values())


def test_curves_are_those_of_the_functional() -> None:
    generator = torch.Generator().manual_seed(0)
    groups = binary(3, ("a", "b", "c"))
    probabilities = torch.rand(50, 3, generator=generator).softmax(dim=1)
    target, bias = torch.randint(3, (2, 50), generator=generator)
    metric = GroupCalibration(groups, bins=4)
    for rows in torch.arange(50).split(13):
        metric.update(probabilities[rows], target[rows], bias[rows])
    told = decision_confidence(probabilities, target, groups)
    expected = reliability_curve(by_bias(reliability(*told, target, bias, groups, bins=4), groups))
    for own, reference in zip(metric.curves(), expected, strict=True):
        torch.testing.assert_close(own, reference, equal_nan=True)
    assert metric.curves().samples.sum().item() == 50


@pytest.mark.parametrize("options", [{"bins": 0}, {"positive": True}])
def test_a_calibration_that_cannot_be_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="positive needs two classes"):
        GroupCalibration(binary(2, ("a", "b", "c")), **options)


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (torch.zeros(3), torch.zeros(3).long(), r"scores must be \(3, 2\) floats"),
        (torch.zeros(3, 3), torch.zeros(3).long(), r"scores must be \(3, 2\) floats"),
        (torch.zeros(3, 2).long(), torch.zeros(3).long(), r"scores must be \(3, 2\) floats"),
        (torch.zeros(3, 2), torch.zeros(3), "target must hold integers"),
    ],
)
@pytest.mark.parametrize("kind", [GroupRanking, GroupCalibration])
def test_a_batch_of_the_wrong_form_is_refused(
    kind: type, scores: torch.Tensor, target: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind(binary(2)).update(scores, target, torch.zeros(3, dtype=torch.long))


def test_logits_are_no_probabilities() -> None:
    metric = GroupCalibration(Groups(("a", "b"), ("x",)))
    metric.update(torch.tensor([[2.0, -1.0]]), torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"from -1.0 to 2.0, outside \[0, 1\]"):
        metric.compute()
