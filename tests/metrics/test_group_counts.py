"""GroupCounts: table, keys and report, also of two processes; numbers are in ``test_handed.py``."""

import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from debias.metrics import (
    GroupCounts,
    group_report,
    group_scalars,
    joint_counts,
    margin_counts,
)
from debias.metrics.accuracy.counts import CHUNK, margins
from debias.metrics.accuracy.uncertainty import wilson_interval
from debias.types import Groups
from tests.metrics.golden_cases import GOLDEN, every_case
from tests.metrics.handed import SHARDINGS
from tests.metrics.metrics_cases import BIRDS, Case, empty_group

CASES = {case.name: case for case in every_case()}


def reported(case: Case, rows: list[Tensor]) -> Metric:
    """The counts of some rows of a case, read as a report."""
    frequencies = case.train_frequencies
    metric = partial(GroupCounts, read=group_report, train_frequencies=frequencies)
    return replace(case, metric=metric).fed(rows)


def on_rank(rank: int) -> dict:
    """What each of two processes says of its own half and of the whole."""
    found = {}
    for case in CASES.values():
        for sharding, rows in case.shardings().items():
            metric = reported(case, rows[rank])
            found[f"{case.name}/{sharding}"] = {
                "report": metric.compute(),
                "own": int(metric.counts[0].sum()),
            }
    return found


def test_every_golden_case_is_tested() -> None:
    path = GOLDEN / "group_accuracy.json"
    if not path.exists():
        pytest.skip("golden files are not at hand")
    assert {case["name"] for case in json.loads(path.read_text())["cases"]} <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_counts_of_the_groups(name: str) -> None:
    case = CASES[name]
    report = reported(case, [torch.arange(len(case.target))]).compute()
    counts = [row["count"] for row in report["groups"]]
    assert case.counts is None or counts == list(case.counts)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", SHARDINGS)
def test_two_processes_report_what_one_does(ranks: list[dict], sharding: str) -> None:
    """Afterwards each rank has its own state again."""
    for case in CASES.values():
        found = [rank[f"{case.name}/{sharding}"] for rank in ranks]
        whole = reported(case, [torch.arange(len(case.target))]).compute()
        assert [half["report"] for half in found] == [whole, whole]
        assert sum(half["own"] for half in found) == case.target.numel()
    assert ranks[1]["worked/one_idle"]["own"] == 0
    assert ranks[0]["worked/one_group_first"]["own"] == 3


def test_joint_counts_hold_the_table_and_the_unknown_bias_last() -> None:
    """Of ``empty_group``: landbirds on land 1 right, 1 wrong, on water 1 right; waterbirds on water
    2, 1 unknown.
    """
    case = empty_group()
    table = joint_counts(case.prediction, case.target, case.bias, case.groups)
    assert table.tolist() == [[[1, 1], [1, 0], [0, 0]], [[0, 0], [0, 2], [1, 0]]]
    assert table.dtype == torch.long


@pytest.mark.parametrize("multi_label", [False, True])
def test_joint_counts_of_more_rows_than_are_counted_at_a_time(multi_label: bool) -> None:
    """Against numpy's histogram of the cells; the number of rows is no multiple of the chunk."""
    generator, count = torch.Generator().manual_seed(0), 2 * CHUNK + 17
    groups = Groups(("a", "b", "c", "d"), ("x", "y", "z"), multi_label=multi_label)
    shape, choices = ((count, 2), 2) if multi_label else ((count,), 4)
    target, prediction = torch.randint(choices, (2, *shape), generator=generator)
    bias = torch.randint(-1, 3, (count,), generator=generator)
    row = groups.row(target)
    slot = bias.where(bias >= 0, 3).reshape(-1, *(1,) * (target.ndim - 1)).expand_as(target)
    cells = torch.stack([facts.flatten() for facts in (row, slot, prediction)], dim=1).numpy()
    expected, _ = np.histogramdd(cells, bins=(4, 4, choices), range=((0, 4), (0, 4), (0, choices)))
    assert joint_counts(prediction, target, bias, groups).tolist() == expected.tolist()
    # the margins, by sums over that histogram: of predictions, of right ones, and of targets
    counted = margin_counts(prediction, target, bias, groups)
    table = torch.from_numpy(expected).long()
    assert counted.total.tolist() == table.sum(dim=2).tolist()
    assert counted.correct.tolist() == [table[row, :, row % choices].tolist() for row in range(4)]
    of_rows = [
        sum(
            table[other, :, row % choices]
            for other in range(4)
            if other // choices == row // choices
        )
        for row in range(4)
    ]
    assert counted.chosen.tolist() == [column.tolist() for column in of_rows]
    assert all(map(torch.equal, margins(table), counted))
    target[CHUNK] = 9
    for count_them in (joint_counts, margin_counts):
        with pytest.raises(ValueError, match=r"target must lie in .*; got 9"):
            count_them(prediction, target, bias, groups)


def test_many_classes_take_no_table_of_their_square() -> None:
    """10,000 classes and 10 bias values: a table of predictions would have 1.1 * 10^9 cells.

    One sample of each class and bias value; class c is right under bias value b where c + b is
    even, and else called 0.
    """
    groups = Groups(
        tuple(f"c{number}" for number in range(10_000)), tuple(f"b{number}" for number in range(10))
    )
    target, bias = torch.arange(10_000).repeat_interleave(10), torch.arange(10).repeat(10_000)
    prediction = torch.where((target + bias) % 2 == 0, target, 0)
    report = group_report(margin_counts(prediction, target, bias, groups), groups)
    assert len(report["groups"]) == 100_000
    # class 0 is right also where it is guessed
    assert report["scalars"]["average"] == 0.5 + 5 / 100_000
    assert report["scalars"]["worst_class"] == 0.5
    # class 0 lies 0.5 from 9,999 others
    assert report["scalars"]["class_difference"] == pytest.approx(
        0.5 * 9_999 / (10_000 * 9_999 / 2), rel=1e-12
    )
    metric = GroupCounts(groups)
    metric.update(prediction, target, bias)
    assert metric.counts.numel() == 3 * 10_000 * 11
    with pytest.raises(
        ValueError,
        match=r"10,000 target rows and 10 bias values, which make 1,100,000,000 counts",
    ):
        joint_counts(prediction, target, bias, groups)


def test_groups_are_numbered_as_groups_does() -> None:
    generator = torch.Generator().manual_seed(0)
    groups = Groups(("a", "b", "c"), ("x", "y", "z", "w"))
    target, prediction = torch.randint(3, (2, 200), generator=generator)
    bias = torch.randint(-1, 4, (200,), generator=generator)
    report = group_report(joint_counts(prediction, target, bias, groups), groups)
    assert [row["count"] for row in report["groups"]] == groups.frequencies(target, bias).tolist()
    assert [row["name"] for row in report["groups"]] == list(groups.names)


def test_report_is_plain_and_holds_intervals() -> None:
    """Waterbird-land is empty: accuracy null, interval [0, 1]. Wilson for 1 of 1: [1 / (1 + z^2),
    1], z^2 = 3.8415.
    """
    case = empty_group()
    metric = GroupCounts(case.groups, group_report)
    metric.update(case.prediction, case.target, case.bias)
    report = metric.compute()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    one, none = report["groups"][1], report["groups"][2]
    assert none == {"name": "waterbird-land", "accuracy": None, "count": 0, "low": 0.0, "high": 1.0}
    assert (one["accuracy"], one["count"], one["high"]) == (1.0, 1, 1.0)
    assert one["low"] == pytest.approx(1 / (1 + 3.841458820694124), abs=1e-12)
    low, high = report["intervals"]["worst_group"]
    assert low < report["groups"][0]["low"] < 0.5 < report["groups"][0]["high"] < high
    assert report["scalars"]["worst_group"] == 0.5
    assert report["scalars"]["accuracy/waterbird-land"] is None


def test_classes_count_images_of_unknown_bias() -> None:
    """Of "a" 2 of 3 are right; one image of both classes has a known bias; "c" has no image."""
    groups = Groups(("a", "b", "c"), ("x",))
    target, prediction, bias = torch.tensor([[0, 0, 0, 1], [0, 0, 2, 1], [0, -1, -1, 0]])
    report = group_report(joint_counts(prediction, target, bias, groups), groups)
    rows = {row["name"]: (row["accuracy"], row["count"]) for row in report["classes"]}
    assert rows == {"a": (pytest.approx(2 / 3), 3), "b": (1.0, 1), "c": (None, 0)}
    assert [row["count"] for row in report["groups"]] == [1, 1, 0]
    expected = torch.stack(wilson_interval(torch.tensor([2, 1, 0]), torch.tensor([3, 1, 0])), dim=1)
    assert [[row["low"], row["high"]] for row in report["classes"]] == expected.tolist()
    low, high = report["intervals"]["worst_class"]
    assert low < report["classes"][0]["low"] < 2 / 3 < high
    assert (
        report["scalars"]["class_accuracy/a"]
        == report["scalars"]["worst_class"]
        == pytest.approx(2 / 3)
    )
    assert report["scalars"]["class_accuracy/c"] is None


def test_keys_depend_on_the_groups_and_frequencies_only() -> None:
    plain = Groups(BIRDS.target_names, BIRDS.bias_names)
    keys = set(group_scalars(torch.zeros(2, 3, 2, dtype=torch.long), plain))
    assert {key for key in keys if not key.startswith(("accuracy/", "class_accuracy/"))} == {
        "average", "worst_group", "worst_class", "group_balanced", "class_balanced",
        "class_difference", "gap", "robustness_gap", "greatest_deviation", "group_ratio",
    }  # fmt: skip
    more = set(group_scalars(torch.ones(2, 3, 2, dtype=torch.long), BIRDS, torch.ones(4)))
    assert more - keys == {
        "adjusted_average", "bias_aligned", "bias_aligned_samples", "bias_conflicting",
        "bias_conflicting_samples",
    }  # fmt: skip


def test_without_any_known_bias_the_class_metrics_stand() -> None:
    """Predictions 0 1 1 of targets 0 0 1: 2 of 3, recalls 1/2 and 1; no group is defined."""
    metric = GroupCounts(BIRDS)
    metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), torch.full((3,), -1))
    scalars = {key: value.item() for key, value in metric.compute().items()}
    of_classes = ("average", "worst_class", "class_balanced", "class_difference")
    assert tuple(scalars[key] for key in of_classes) == (2 / 3, 0.5, 0.75, 0.5)
    of_groups = (
        "worst_group",
        "group_balanced",
        "gap",
        "robustness_gap",
        "greatest_deviation",
        "group_ratio",
    )
    assert all(math.isnan(scalars[key]) for key in of_groups)
    report = GroupCounts(BIRDS, group_report)
    report.update(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), torch.full((3,), -1))
    assert report.compute()["intervals"]["worst_group"] == [0.0, 1.0]
