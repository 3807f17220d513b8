"""BiasInformation, ErrorDiscovery: in a collection, refusals; numbers are in ``test_handed.py``."""

from __future__ import annotations

import pytest
import torch
from torchmetrics import MetricCollection

from debias.metrics.discovery.bias_information import BiasInformation, ErrorDiscovery
from debias.metrics.exact_metrics import GroupCounts
from tests.metrics.metrics_cases import BIRDS


def test_a_collection_keeps_them_apart_from_the_group_accuracies() -> None:
    metrics = MetricCollection([GroupCounts(BIRDS), BiasInformation(BIRDS), ErrorDiscovery(BIRDS)])
    prediction, target, bias = torch.tensor([[0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 0, 1]])
    metrics.update(prediction, target, bias)
    found = metrics.compute()
    assert (found["average"], found["discovery/error_recall"]) == (0.5, 1)
    assert found["information/cramers_v"].item() == pytest.approx(1)


@pytest.mark.parametrize("kind", [BiasInformation, ErrorDiscovery])
def test_a_value_out_of_range_is_refused(kind: type[GroupCounts]) -> None:
    metric = kind(BIRDS)
    metric.update(torch.tensor([0]), torch.tensor([0]), torch.tensor([2]))
    with pytest.raises(ValueError, match="bias 2 is outside"):
        metric.compute()
