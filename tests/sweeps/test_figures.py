"""Figures of published tables, read from records whose numbers are known."""

from dataclasses import replace
from pathlib import Path

import pytest

from debias.reports.record import Report
from debias.sweeps.figures import FIGURES, best_epoch, subset
from tests.reports.sample_runs import sample_report, split_report, typed_report

#: Accuracies of 2 classes x 2 left colours x 2 right colours.
ACCURACIES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, None, 0.2)


def two_biases(counts: tuple[int, ...] = (2, 2, 2, 2, 2, 2, 0, 2)) -> Report:
    """Class 0 goes with the first colour of both sides, class 1 with the second."""
    biases = ["red & red", "red & green", "green & red", "green & green"]
    report = sample_report()
    groups = [
        {"name": str(i), "accuracy": a, "count": counts[i], "low": a, "high": a}
        for i, a in enumerate(ACCURACIES)
    ]
    report["metrics"]["test"] |= {"groups": groups}
    attributes = [
        {"name": name, "values": ["red", "green"], "aligned": [[0, 0], [1, 1]]}
        for name in ("left", "right")
    ]
    report["data"] |= {"attributes": attributes, "biases": biases}
    return typed_report(report)


def test_subsets_of_two_biases_by_hand() -> None:
    """Both aligned: class 0 red & red, class 1 green & green. A group without images counts not."""
    report = two_biases()
    names = [name for name in FIGURES if name.endswith(("aligned", "conflicting", "subsets"))]
    found = {name: FIGURES[name].read(report) for name in names}
    assert found["aligned_aligned"] == pytest.approx((0.9 + 0.2) / 2)
    assert found["aligned_conflicting"] == pytest.approx(0.8)
    assert found["conflicting_aligned"] == pytest.approx((0.7 + 0.4) / 2)
    assert found["conflicting_conflicting"] == pytest.approx((0.6 + 0.5) / 2)
    assert found["mean_of_subsets"] == pytest.approx((0.55 + 0.8 + 0.55 + 0.55) / 4)


def test_a_run_with_one_bias_has_no_subsets() -> None:
    report = typed_report(sample_report())
    assert subset(report, conflicting=(False, True)) is None
    assert FIGURES["mean_of_subsets"].read(report) is None


def test_images_of_the_first_bias_value_by_hand() -> None:
    """Of red & red, class 0 has 2 images at .9, and class 1 has 6 at .5."""
    report = two_biases((2, 2, 2, 2, 6, 2, 0, 2))
    assert FIGURES["first_bias"].read(report) == pytest.approx((2 * 0.9 + 6 * 0.5) / 8)


def test_splits_and_epochs(tmp_path: Path) -> None:
    """Training images have their own numbers; the best epoch is of the history, if validation has
    the test images.
    """
    entries = sample_report()
    names = entries["data"]["groups"]
    entries["metrics"]["train"] = split_report((1.0, 1.0, 0.5, 1.0), names)
    entries["history"][1]["val"]["average"] = 0.999
    report = replace(typed_report(entries), folder=tmp_path)
    (tmp_path / "predictions").mkdir()
    rows = ["index,path,target,bias,prediction,logit_a,logit_b", "0,0.png,1,0,0,0.5,-0.5"]
    for split in ("val", "test"):
        (tmp_path / "predictions" / f"{split}.csv").write_text("\n".join([*rows, ""]))
    assert FIGURES["worst_group"].read(report) == report.test.scalars["worst_group"]
    trained = entries["metrics"]["train"]["scalars"]["average"]
    assert FIGURES["train_average"].read(report) == trained
    assert FIGURES["best_average"].read(report) == 0.999
    assert FIGURES["average"].read(report) != 0.999
    other = "\n".join([rows[0], rows[1].replace("-0.5", "-0.6"), ""])
    (tmp_path / "predictions" / "val.csv").write_text(other)
    assert best_epoch(report, key="average") is None


def test_every_figure_has_a_title_of_its_own() -> None:
    titles = [figure.title for figure in FIGURES.values()]
    assert len(set(titles)) == len(titles)
