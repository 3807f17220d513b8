"""Every metric gives the known numbers, and the same under any order, batching and sharding."""

from __future__ import annotations

import pytest
import torch
from torchmetrics import Metric

from debias.metrics import GroupCounts
from debias.metrics.attention.scores import AttentionScores
from debias.metrics.scores.group_scores import GroupCalibration, GroupRanking
from debias.metrics.shortcuts.cue_counts import BackgroundChallenge
from tests.metrics import (
    amplification_cases,
    cell_cases,
    golden_cases,
    information_cases,
    score_cases,
)
from tests.metrics.handed import SHARDINGS, Handed, scalars_of
from tests.metrics.metrics_cases import BIRDS
from tests.metrics.two_ranks import refusal

FAMILIES: dict[str, list[Handed]] = {
    "counts": [*golden_cases.every_case()],
    "information": [*information_cases.information_cases(), *information_cases.discovery_cases()],
    "scores": [*score_cases.every_case()],
    "amplification": [*amplification_cases.every_case()],
    "cells": [*cell_cases.every_case()],
}
CASES = {f"{family}/{case.name}": case for family, cases in FAMILIES.items() for case in cases}

#: What a metric says of a value that is out of range, and by which it names the value.
REFUSALS = {
    "counts above": "bias 7 is outside [-1, 2)",
    "counts below": "bias -7 is outside [-1, 2)",
    "amplification": "bias 7 is outside [-1, 2)",
    "fairness": "bias 7 is outside [-1, 2)",
    "ranking": "bias 7 is outside [-1, 2)",
    "ranking of a broken score": "scores hold NaN",
    "calibration": "bias 7 is outside [-1, 2)",
    "calibration of a broken probability": "probabilities run from nan",
    "attention above": "group 7 is outside [-1, 4)",
    "attention below": "group -7 is outside [-1, 4)",
    "challenge above": "cell 7 of BackgroundChallenge is outside [-1, 4)",
    "challenge below": "cell -7 of BackgroundChallenge is outside [-1, 4)",
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
        "moved": moved(rank),
    }


def fed_on(rank: int) -> dict[str, Metric]:
    """Metrics of which the second process was fed a value that is out of range."""
    zero, one, place = torch.tensor([0]), torch.tensor([1]), torch.tensor([7 * rank])
    fine, right = torch.tensor([[0.25, 0.75]]), torch.tensor([True])
    broken = torch.tensor([[torch.nan, 0.5]]) if rank else fine
    two = score_cases.binary(2)
    fed = {
        "counts above": (GroupCounts(BIRDS), (zero, zero, place)),
        "counts below": (GroupCounts(BIRDS), (zero, zero, -place)),
        "amplification": (amplification_cases.worked().make(), (zero, zero, place)),
        "fairness": (score_cases.GroupFairness(two), (one, one, place)),
        "ranking": (GroupRanking(two), (fine, one, place)),
        "ranking of a broken score": (GroupRanking(two), (broken, one, one)),
        "calibration": (GroupCalibration(two), (fine, one, place)),
        "calibration of a broken probability": (GroupCalibration(two), (broken, one, one)),
        "attention above": (
            AttentionScores(BIRDS, names=("s",)),
            ({"s": torch.ones(1)}, place, right),
        ),
        "attention below": (
            AttentionScores(BIRDS, names=("s",)),
            ({"s": torch.ones(1)}, -place, right),
        ),
        "challenge above": (BackgroundChallenge(4), (right, place)),
        "challenge below": (BackgroundChallenge(4), (right, -place)),
    }
    for metric, facts in fed.values():
        metric.update(*facts)
    return {name: metric for name, (metric, _) in fed.items()}


def moved(rank: int) -> dict[str, float]:
    """Scalars of a ranking moved to a device before it was fed, on the first process only."""
    case = score_cases.worked_ranking()
    metric = case.make().to("cpu")
    if rank == 0:
        case.feed(metric, torch.arange(len(case.target)))
    return scalars_of(metric)


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


@pytest.mark.slow
def test_a_process_without_scores_sends_none_of_another_number_type(ranks: list[dict]) -> None:
    """torchmetrics forgets, on moving a metric, in what number type an empty list is to be sent."""
    whole = score_cases.worked_ranking().whole()
    assert ranks[0]["moved"] == ranks[1]["moved"] == pytest.approx(whole, abs=1e-12, nan_ok=True)
