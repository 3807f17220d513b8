"""Every metric keeps the number types of its state whatever it is cast to, and goes with a module
to its device.
"""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tests.metrics import (
    amplification_cases,
    cell_cases,
    error_cases,
    metrics_cases,
    score_cases,
)
from tests.metrics.handed import Handed, scalars_of

CASES: dict[str, Handed] = {
    "counts": metrics_cases.worked(),
    "errors": replace(metrics_cases.worked(), metric=error_cases.ErrorDiscovery),
    "fairness": score_cases.worked_fairness(),
    "f1": replace(score_cases.worked_fairness(), metric=score_cases.GroupF1),
    "amplification": amplification_cases.worked(),
} | {case.name: case for case in cell_cases.every_case()}

CASTS: dict[str, Callable[[Metric], object]] = {
    "set_dtype half": lambda metric: metric.set_dtype(torch.float16),
    "set_dtype double": lambda metric: metric.set_dtype(torch.float64),
    "model.to bfloat16": lambda metric: nn.ModuleList([metric]).to(torch.bfloat16),
    "model.half": lambda metric: nn.ModuleList([metric]).half(),
    "model.double": lambda metric: nn.ModuleList([metric]).double(),
    "model.type": lambda metric: nn.ModuleList([metric]).type(torch.float32),
}


def states(metric: Metric) -> list[Tensor]:
    """Every tensor of the state, its default and the buffers."""
    held = [getattr(metric, name) for name in metric._defaults] + list(metric._defaults.values())
    lists = [part if isinstance(part, list) else [part] for part in held]
    return [value for part in lists for value in part] + list(metric.buffers())


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("name", CASES)
def test_a_cast_changes_neither_state_nor_scalars(name: str, cast: str) -> None:
    """Before any sample, between batches, after the last, after a reset: the same bits."""
    case = CASES[name]
    halves = torch.arange(len(case.parts())).chunk(2)
    metric, plain = case.make(), case.fed(halves)
    for _ in range(2):
        CASTS[cast](metric)
        for rows in halves:
            case.feed(metric, rows)
            CASTS[cast](metric)
        assert [value.dtype for value in states(metric)] == [value.dtype for value in states(plain)]
        assert json.dumps(scalars_of(metric)) == json.dumps(scalars_of(plain))
        metric.reset()


@pytest.mark.parametrize("name", CASES)
def test_the_state_goes_to_the_device(name: str) -> None:
    """With the module that holds the metric, to the meta device, alone and with a cast."""
    case = CASES[name]
    plain = case.fed([torch.arange(len(case.parts()))])
    for options in ({}, {"dtype": torch.float16}):
        metric = case.fed([torch.arange(len(case.parts()))])
        nn.ModuleList([metric]).to("meta", **options)
        assert metric.device.type == "meta"
        assert {value.device.type for value in states(metric)} == {"meta"}
        assert [value.dtype for value in states(metric)] == [value.dtype for value in states(plain)]
