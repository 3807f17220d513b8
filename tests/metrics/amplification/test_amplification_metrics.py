"""Bias amplification metrics: unknown and empty values, refusals; numbers: ``test_handed.py``."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from debias.metrics.amplification.counts import co_occurrence
from debias.metrics.amplification.indicators import IndicatorAmplification
from debias.metrics.amplification.single import BiasAmplification
from debias.types import Groups
from tests.metrics.amplification_cases import worked


def test_a_declared_but_empty_bias_leaves_the_direction_from_the_attribute_unchanged() -> None:
    """P(t | a) is undefined for the empty value: its pairs are left out; no label has it."""
    case = worked()
    metric = BiasAmplification(Groups(("cook", "drive"), ("woman", "man", "unseen")))
    metric.update(*case.facts[:3])
    scalars = metric.compute()
    assert scalars["amplification/attribute_to_task"] == 0.25
    assert scalars["amplification/attribute_to_task_variance"] == 0


def test_unknown_bias_counts_nowhere() -> None:
    case = worked()
    metric = case.make()
    metric.update(*case.facts)
    before = metric.compute()
    metric.update(*torch.tensor([[1, 1], [0, 0], [-1, -1], [0, 1]]))
    assert metric.compute() == before


def test_a_row_with_an_unknown_attribute_counts_nowhere() -> None:
    metric = IndicatorAmplification(1, 2, attribute_predictions=True)
    one = torch.tensor([[1], [1], [0]])
    known, unknown = torch.tensor([[1, 0], [0, 1], [0, 1]]), torch.tensor([[1, -1]] * 3)
    metric.update(one, one, known, known)
    before = metric.compute()
    metric.update(1 - one, one, unknown, torch.tensor([[1, 0]] * 3))
    assert {k: v.item() for k, v in metric.compute().items()} == {
        k: v.item() for k, v in before.items()
    }


def test_nothing_observed_is_undefined() -> None:
    case = worked()
    metric = case.make()
    metric.update(*(fact[:0] for fact in case.facts))
    assert all(value.isnan() for value in metric.compute().values())


class ByTarget(BiasAmplification):
    """Takes the target for the bias attribute."""

    def update(
        self, prediction: Tensor, target: Tensor, bias: Tensor, predicted_bias: Tensor | None = None
    ) -> None:
        super().update(prediction, target, target, predicted_bias)


def test_a_collection_keeps_two_attributes_apart() -> None:
    """MetricCollection joins for good what agrees after one batch; in the first, bias = target.

    By bias: 7 of 8 become 8 of 8, in pairs that go together. By target: 8 of 8 become 7 of 8.
    """
    groups = Groups(("cook", "drive"), ("woman", "man"))
    metrics = MetricCollection({"bias": BiasAmplification(groups), "target": ByTarget(groups)})
    a, t = worked().facts[:2]
    metrics.update(t, t, t)
    metrics.update(a, t, a)
    key = "amplification/attribute_to_task"
    assert [metrics[name].compute()[key].item() for name in ("bias", "target")] == [0.125, -0.125]


def test_what_does_not_fit_is_refused() -> None:
    groups = Groups(("cook", "drive"), ("woman", "man"))
    a, t = worked().facts[:2]
    with pytest.raises(ValueError, match="predicted_bias is not expected"):
        BiasAmplification(groups).update(a, t, a, t)
    with pytest.raises(ValueError, match="predicted_bias is missing"):
        worked().make().update(a, t, a)
    with pytest.raises(ValueError, match="each of the 4 groups"):
        BiasAmplification(groups, train_frequencies=torch.ones(3))
    with pytest.raises(ValueError, match="train counts"):
        IndicatorAmplification(2, 2, train=co_occurrence(a[:, None], t[:, None]))
    metric = IndicatorAmplification(1, 1)
    with pytest.raises(ValueError, match=r"must be \(N, 1\) integers"):
        metric.update(a, t, a)
    with pytest.raises(ValueError, match="predicted_attribute is not expected"):
        metric.update(a[:, None], t[:, None], a[:, None], a[:, None])
    metric.update(a[:, None], 2 * t[:, None], a[:, None])
    with pytest.raises(ValueError, match="4 values are not 0 or 1"):
        metric.compute()
