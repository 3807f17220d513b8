"""Predictions of known information on the bias, or error set: by hand, and golden."""

import math
from dataclasses import replace
from functools import partial

import torch

from debias.metrics.discovery.errors import discovery_scalars
from debias.metrics.discovery.information import information_report, information_scalars
from debias.metrics.exact_metrics import GroupCounts
from debias.types import Groups
from tests.metrics.golden_cases import golden_case, golden_file
from tests.metrics.metrics_cases import BIRDS, TRIPLE, Case, multi_label

BiasInformation = partial(GroupCounts, read=information_scalars, joint=True)
ErrorDiscovery = partial(GroupCounts, read=discovery_scalars)


def information_cases() -> list[Case]:
    """For ``BiasInformation``."""
    golden = golden_file("representation_leakage.json").get("mutual_information_pred_attribute")
    return [
        _declared_but_empty(),
        multi_label_information(),
        *([_golden_information(golden)] if golden else []),
    ]


def discovery_cases() -> list[Case]:
    """For ``ErrorDiscovery``."""
    golden = golden_file("group_discovery.json").get("jtt_error_set_precision_recall")
    return [_misled(), *([_golden_errors(golden)] if golden else [])]


def _declared_but_empty() -> Case:
    """Predictions 0 0 1 1 are the bias but for one of unknown bias, and a third bias value and
    class never occur.

    log 2 nats, all of it: V and the normalised information are 1. Within target 0 (samples 0, 2) it
    is log 2, and within target 1 (samples 1, 3) too.
    """
    groups = Groups(("a", "b", "c"), ("x", "y", "z"))
    facts = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 0, 1, 0], [0, 0, 1, 1, -1]])
    expected = {
        "information/prediction": math.log(2),
        "information/prediction_normalized": 1.0,
        "information/prediction_given_target": math.log(2),
        "information/target": 0.0,
        "information/cramers_v": 1.0,
        "information/target_cramers_v": 0.0,
    }
    return Case("declared_but_empty", groups, *facts, expected, metric=BiasInformation)


def multi_label_information() -> Case:
    """The predictions of ``multi_label``, whose values the functional tests establish."""
    case = multi_label()
    expected = information_report(case.prediction, case.target, case.bias, case.groups)
    return replace(case, expected=expected, metric=BiasInformation)


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


def _golden_information(record: dict) -> Case:
    found = record["expected"]
    expected = {
        "information/prediction": found["mi_nats"],
        "information/prediction_normalized": found["nmi_arithmetic"],
        "information/prediction_given_target": found["conditional_mi_pred_attr_given_target"],
        "information/target": found["mi_target_attribute"],
        "information/cramers_v": found["cramers_v"],
    }
    return golden_case(
        record, TRIPLE, expected, tolerance=record["tolerance"], metric=BiasInformation
    )


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
