"""Bias amplification metrics: unknown and empty values, refusals; numbers: ``test_handed.py``."""

import pytest
import torch
from torchmetrics import MetricCollection

from debias.metrics.amplification.counts import CoOccurrences, co_occurrence
from debias.metrics.amplification.report import amplification_report, pair_scalars
from debias.types import Groups
from tests.metrics.amplification_cases import BiasAmplification, worked


def test_a_declared_but_empty_bias_leaves_the_direction_from_the_attribute_unchanged() -> None:
    """P(t | a) is undefined for the empty value: its pairs are left out; no label has it."""
    case = worked()
    metric = BiasAmplification(Groups(("cook", "drive"), ("woman", "man", "unseen")))
    metric.update(*case.facts[:3])
    scalars = metric.compute()
    assert scalars["amplification/attribute_to_task"] == 0.25
    assert scalars["amplification/attribute_to_task_variance"] == 0


def test_unknown_bias_counts_nowhere() -> None:
    case, groups = worked(), Groups(("cook", "drive"), ("woman", "man"))
    prediction, target, bias, predicted = case.facts
    before = amplification_report(prediction, target, bias, groups, predicted_bias=predicted)
    more = torch.cat((torch.stack(case.facts), torch.tensor([[1, 1], [0, 0], [-1, -1], [0, 1]])), 1)
    assert amplification_report(*more[:3], groups, predicted_bias=more[3]) == before


def test_a_row_with_an_unknown_attribute_counts_nowhere() -> None:
    one = torch.tensor([[1], [1], [0]])
    known, unknown = torch.tensor([[1, 0], [0, 1], [0, 1]]), torch.tensor([[1, -1]] * 3)
    before = co_occurrence(one, known)
    after = co_occurrence(torch.cat((one, 1 - one)), torch.cat((known, unknown)))
    assert all(map(torch.equal, before, after))
    scalars = pair_scalars(CoOccurrences(after, after))
    assert scalars["amplification/attribute_to_task"] == 0


def test_nothing_observed_is_undefined() -> None:
    case = worked()
    metric = case.make()
    metric.update(*(fact[:0] for fact in case.facts[:3]))
    assert all(value.isnan() for value in metric.compute().values())


def test_a_collection_keeps_two_attributes_apart() -> None:
    """MetricCollection joins for good what agrees after one batch; in the first, bias = target.

    By bias: 7 of 8 become 8 of 8, in pairs that go together. By target: 8 of 8 become 7 of 8.
    """
    groups = Groups(("cook", "drive"), ("woman", "man"))
    metrics = MetricCollection({name: BiasAmplification(groups) for name in ("bias", "target")})
    a, t = worked().facts[:2]
    metrics.update(t, t, t)
    metrics["bias"].update(a, t, a)
    metrics["target"].update(a, t, t)
    key = "amplification/attribute_to_task"
    assert [metrics[name].compute()[key].item() for name in ("bias", "target")] == [0.125, -0.125]


def test_what_does_not_fit_is_refused() -> None:
    groups = Groups(("cook", "drive"), ("woman", "man"))
    a, t = worked().facts[:2]
    with pytest.raises(ValueError, match="each of the 4 groups"):
        BiasAmplification(groups, train_frequencies=torch.ones(3))
    with pytest.raises(ValueError, match=r"bias must lie in .*; got 2"):
        amplification_report(a, t, a, groups, predicted_bias=2 * t)
