"""Predictions of a known error set: by hand, and golden."""

from functools import partial

import torch

from debias.metrics.discovery.errors import discovery_scalars
from debias.metrics.exact_metrics import GroupCounts
from tests.metrics.golden_cases import golden_case, golden_file
from tests.metrics.metrics_cases import BIRDS, Case

ErrorDiscovery = partial(GroupCounts, read=discovery_scalars)


def discovery_cases() -> list[Case]:
    """For ``ErrorDiscovery``."""
    golden = golden_file("group_discovery.json").get("jtt_error_set_precision_recall")
    return [_misled(), *([_golden_errors(golden)] if golden else [])]


def _misled() -> Case:
    """As ``test_report_of_a_worked_case`` derives it: three errors of five, two of them of the
    minority of three.
    """
    facts = torch.tensor([[0, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 0, -1]])
    expected = {
        "discovery/error_precision": 2 / 3,
        "discovery/error_recall": 2 / 3,
        "discovery/error_f1": 2 / 3,
        "discovery/error_lift": 10 / 9,
        "discovery/error_share/landbird-land": 0.0,
        "discovery/error_share/waterbird-water": 1 / 3,
    }
    return Case("misled", BIRDS, *facts, expected, metric=ErrorDiscovery)


def _golden_errors(record: dict) -> Case:
    found = record["expected"]
    expected = {
        "discovery/error_precision": found["precision"],
        "discovery/error_recall": found["recall"],
        "discovery/error_f1": found["sklearn_f1"],
        "discovery/error_lift": found["lift"],
    }
    return golden_case(
        record, BIRDS, expected, tolerance=record["tolerance"], metric=ErrorDiscovery
    )
