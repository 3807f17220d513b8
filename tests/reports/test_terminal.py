"""What is printed of a report: the right numbers in the right rows, few enough to be read."""

import math
from typing import Any

from debias.json_files import typed
from debias.reports import terminal
from debias.reports.split import SCALARS, Split
from debias.reports.terminal import MOST_GROUPS
from tests.reports.sample_runs import sample_report


def accuracy_lines(name: str, metrics: dict[str, Any]) -> list[str]:
    return terminal.accuracy_lines(name, typed(Split, metrics))


def short_line(name: str, metrics: dict[str, Any]) -> str:
    return terminal.short_line(name, typed(Split, metrics))


def measure_lines(measures: dict[str, Any], **options: Any) -> list[str]:
    return terminal.measure_lines(measures["measures"], measures["left_out"], **options)


def metrics_of(accuracies: list[float | None]) -> dict[str, Any]:
    groups = [
        {
            "name": f"group{place}",
            "accuracy": accuracy,
            "count": 0 if accuracy is None else 10,
            "low": 0.1,
            "high": 0.9,
        }
        for place, accuracy in enumerate(accuracies)
    ]
    return {"groups": groups, "scalars": {"worst_group": 0.0, "average": None, "gap": 0.5}}


def test_a_row_for_each_group_and_then_what_they_come_to() -> None:
    lines = accuracy_lines("test", sample_report()["metrics"]["test"])
    assert lines[0] == "test: accuracy in percent, 95 % interval, images"
    assert "  waterbird-land    71.2 [ 67.6,  74.6] of 642" in lines
    assert "  worst_group       71.2" in lines
    assert [line.split()[0] for line in lines[5:]] == [
        name for name in SCALARS["group"] if name in sample_report()["metrics"]["test"]["scalars"]
    ]


def test_a_group_without_images_and_an_undefined_average() -> None:
    """The gap is none of the accuracies, and is left to the report."""
    assert accuracy_lines("val", metrics_of([0.5, None])) == [
        "val: accuracy in percent, 95 % interval, images",
        "  group0            50.0 [ 10.0,  90.0] of 10",
        "  group1               - no image",
        "  worst_group        0.0",
        "  average              -",
    ]
    assert short_line("val", metrics_of([0.5, None])) == "val: worst_group 0.0, average -"


def test_classes_stand_in_for_groups_where_no_bias_is_known() -> None:
    """Reports of before have no classes, and say that no group has an image."""
    classes = [{"name": "cat", "accuracy": 0.5, "count": 10, "low": 0.25, "high": 0.75}]
    scalars = {"worst_group": None, "worst_class": 0.5, "class_balanced": 0.75, "average": 0.8}
    metrics = metrics_of([None]) | {"classes": classes, "scalars": scalars, "unknown": 10}
    assert accuracy_lines("test", metrics) == [
        "test: accuracy in percent, 95 % interval, images",
        "  cat             50.0 [ 25.0,  75.0] of 10",
        "  the bias of every image is unknown: these are the classes",
        "  worst_class     50.0",
        "  class_balanced  75.0",
        "  average         80.0",
    ]
    assert short_line("val", metrics) == "val: worst_class 50.0, class_balanced 75.0, average 80.0"
    assert "no image" in accuracy_lines("test", {**metrics, "classes": []})[1]


def test_images_of_no_group_are_counted() -> None:
    lines = accuracy_lines("test", metrics_of([0.5]) | {"unknown": 7})
    assert lines[2] == "  7 images of unknown bias are in no group"
    assert not any(
        "unknown" in line for line in accuracy_lines("test", metrics_of([0.5]) | {"unknown": 0})
    )
    classes = [{"name": "cat", "accuracy": 0.75, "count": 17, "low": 0.5, "high": 0.875}]
    lines = accuracy_lines("test", metrics_of([0.5]) | {"unknown": 7, "classes": classes})
    assert lines[3:5] == ["  by class, with them:", "  cat               75.0 [ 50.0,  87.5] of 17"]


def test_of_many_groups_the_worst_are_listed() -> None:
    """25 groups, the later the worse, and one without images: the 12 worst, from the last on."""
    accuracies = [1 - place / 100 for place in range(MOST_GROUPS)]
    assert len(accuracy_lines("test", metrics_of(accuracies))) == 1 + MOST_GROUPS + 2
    lines = accuracy_lines("test", metrics_of([*accuracies, None]))
    listed = [line.split()[0] for line in lines[1:13]]
    assert listed == [f"group{place}" for place in range(23, 11, -1)]
    assert lines[13] == "  ... 13 more groups, none of them worse"


MEASURES = {
    "measures": {
        "fairness": {
            "accuracy_ratio": 0.25,
            "accuracy_difference": 0.5,
            "demographic_parity_difference": math.nan,
        },
        "leakage": {"leakage/model": None, "leakage/dataset": 0.75},
    },
    "left_out": {"features": "no run", "context": "one label", "frequency": "no run"},
}


def test_the_positive_class_is_named_where_a_measure_depends_on_it() -> None:
    line = "positive class: waterbird (fairness); positive=NAME sets another"
    assert measure_lines(MEASURES, positive="waterbird")[2] == line
    leakage = {"measures": {"leakage": {"leakage/model": 0.5}}, "left_out": {}}
    assert measure_lines(leakage, positive="waterbird") == ["leakage  leakage/model 0.5000"]


def test_headlines_of_each_family_and_the_reasons_once() -> None:
    assert measure_lines(MEASURES) == [
        "fairness  demographic_parity_difference -  accuracy_difference 0.5000",
        "leakage   leakage/model -",
        "left out: features, frequency, because no run",
        "left out: context, because one label",
    ]


def test_a_family_that_was_asked_for_is_whole() -> None:
    assert measure_lines(MEASURES, whole=["leakage"])[1:4] == [
        "leakage",
        "  leakage/model   -",
        "  leakage/dataset 0.7500",
    ]
