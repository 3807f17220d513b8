"""Every metric gives the known numbers, and the same under any order, batching and sharding."""

import pytest
import torch
from torchmetrics import Metric

from debias.metrics import CellCounts, GroupCounts
from debias.metrics.attention.scores import AttentionScores
from tests.metrics import (
    amplification_cases,
    cell_cases,
    error_cases,
    golden_cases,
    score_cases,
)
from tests.metrics.handed import SHARDINGS, Handed
from tests.metrics.metrics_cases import BIRDS

FAMILIES: dict[str, list[Handed]] = {
    "counts": [*golden_cases.every_case()],
    "errors": [*error_cases.discovery_cases()],
    "scores": [*score_cases.every_case()],
    "amplification": [*amplification_cases.every_case()],
    "cells": [*cell_cases.every_case()],
}
CASES = {f"{family}/{case.name}": case for family, cases in FAMILIES.items() for case in cases}

#: What a metric says of a value that is out of range, and by which it names the value.
REFUSALS = {
    "counts above": "bias must lie in [-1, 2); got 7",
    "counts below": "bias must lie in [-1, 2); got -7",
    "amplification": "bias must lie in [-1, 2); got 7",
    "fairness": "bias must lie in [-1, 2); got 7",
    "attention above": "group must lie in [-1, 4); got 7",
    "attention below": "group must lie in [-1, 4); got -7",
    "cells above": "cell of CellCounts must lie in [-1, 4); got 7",
    "cells below": "cell of CellCounts must lie in [-1, 4); got -7",
}


def on_rank(rank: int) -> dict:
    """What each of two processes finds."""
    return {
        "results": {
            key: found
            for name, case in CASES.items()
            for key, found in case.on_rank(name, rank).items()
        },
        "refusals": {name: refusal(metric) for name, metric in fed_on(rank).items()},
    }


def refusal(metric: Metric) -> str:
    """What this process says of what it, or the other one, was fed."""
    try:
        metric.compute()
    except ValueError as error:
        return str(error)
    return "accepted"


def fed_on(rank: int) -> dict[str, Metric]:
    """Metrics of which the second process was fed a value that is out of range."""
    zero, one, place = torch.tensor([0]), torch.tensor([1]), torch.tensor([7 * rank])
    right = torch.tensor([True])
    two = score_cases.binary(2)
    fed = {
        "counts above": (GroupCounts(BIRDS), (zero, zero, place)),
        "counts below": (GroupCounts(BIRDS), (zero, zero, -place)),
        "amplification": (amplification_cases.worked().make(), (zero, zero, place)),
        "fairness": (score_cases.GroupFairness(two), (one, one, place)),
        "attention above": (
            AttentionScores(BIRDS, names=("s",)),
            ({"s": torch.ones(1)}, place, right),
        ),
        "attention below": (
            AttentionScores(BIRDS, names=("s",)),
            ({"s": torch.ones(1)}, -place, right),
        ),
        "cells above": (CellCounts(4, cell_cases.read_cells), (right, place)),
        "cells below": (CellCounts(4, cell_cases.read_cells), (right, -place)),
    }
    for metric, facts in fed.values():
        metric.update(*facts)
    return {name: metric for name, (metric, _) in fed.items()}


@pytest.mark.parametrize("name", CASES)
def test_one_update_gives_the_known_scalars(name: str) -> None:
    CASES[name].assert_known(CASES[name].whole())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 4, 7, 13])
def test_any_batches_in_any_order_give_the_same_scalars(name: str, size: int) -> None:
    CASES[name].assert_no_order_matters(size)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", SHARDINGS)
@pytest.mark.parametrize("name", CASES)
def test_two_processes_agree_with_one(ranks: list[dict], name: str, sharding: str) -> None:
    CASES[name].assert_two_ranks_agree([rank["results"][f"{name}/{sharding}"] for rank in ranks])


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSALS)
def test_every_process_refuses_what_one_was_fed(ranks: list[dict], name: str) -> None:
    first, second = (rank["refusals"][name] for rank in ranks)
    assert first == second
    assert first.startswith(REFUSALS[name])
