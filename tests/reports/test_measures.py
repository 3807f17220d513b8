"""The families of measures on a run's page: numbers in their places, pictures in words, and no name
that breaks it.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from debias.json_files import plain
from debias.reports import measure_charts, measures
from debias.reports.galleries import Views, attention, right_and_wrong
from debias.reports.predictions import Predictions
from debias.reports.record import read_report
from debias.reports.run_folder import write_report
from debias.types import Groups
from tests.reports.sample_runs import html_of, sample_predictions, sample_report, typed_report
from tests.reports.test_page import Page

MEASURES = {
    "fairness": {
        "demographic_parity_difference": 0.25,
        "accuracy_ratio": None,
        "selection_rate/waterbird|land": 0.125,
        "selection_rate/waterbird|water": 0.375,
        "precision/waterbird|land": 0.5,
        "precision/waterbird|water": None,
        "accuracy/land": 0.875,
        "accuracy/water": 0.75,
    },
    "amplification": {"amplification/attribute_to_task": -0.0625},
    "scores": {"auroc": 0.9, "auroc/land": 0.91, "samples/land": 2897.0},
    "frequency": {"low_pass/area": 0.8},
}
RELIABILITY = [
    {
        "outcome": "", "bias": "land", "samples": [0, 4, 0, 6],
        "confidence": [None, 0.375, None, 0.9], "accuracy": [None, 0.5, None, 1.0],
    },
    {
        "outcome": "", "bias": "water", "samples": [0, 0, 5, 0],
        "confidence": [None, None, 0.6, None], "accuracy": [None, None, 0.4, None],
    },
]  # fmt: skip
CURVES = {
    "reliability": RELIABILITY,
    "band_pass": {
        "cutoffs": [0.01, 0.5, 0.99], "low_pass": [0.5, 0.75, 0.9], "high_pass": [0.25, None, 0.88],
    },
    "amplification": {
        "targets": ["landbird", "waterbird"], "biases": ["land", "water"],
        "change": [[0.1, -0.05], [None, 0.0]],
    },
}  # fmt: skip


def measured_report(**changes: Any) -> dict[str, Any]:
    left_out = {
        "leakage": "the predictions hold decisions and no scores",
        "placement": "the data set has no masks.",
    }
    return (
        sample_report() | {"measures": MEASURES, "left_out": left_out, "curves": CURVES} | changes
    )


def family(report: dict[str, Any], name: str) -> Any:
    return next(one for one in measures.families(typed_report(report)) if one.name == name)


def test_page_holds_the_numbers_with_ideal_direction_and_reading() -> None:
    text = Page(html_of(measured_report())).text
    gap = "Highest minus lowest selection rate over the bias values, whatever the true labels."
    assert f"Demographic parity gap0.2500lower is better{gap}" in text
    assert "Accuracy ratio–1higher is better" in text
    assert "Amplification, attribute to task-0.0620lower is better" in text
    assert "Images2,897" in text


def test_numbers_by_place_form_tables_with_the_fewer_across() -> None:
    """Two rates of two cells: cells down, rates across; two biases have one accuracy."""
    by_cell, by_bias = family(measured_report(), "fairness").tables
    assert by_cell.name == "outcome | bias"
    assert [title for title, _ in by_cell.columns] == ["Selection rate", "Precision"]
    assert by_cell.rows == [
        (("waterbird|land", ""), [0.125, 0.5]),
        (("waterbird|water", ""), [0.375, None]),
    ]
    assert by_bias.rows == [(("land", ""), [0.875]), (("water", ""), [0.75])]


def test_more_measures_than_places_stand_one_a_row() -> None:
    (table,) = family(measured_report(), "scores").tables
    assert (table.corner, table.columns) == ("measure", [("land", "")])
    assert [(title, values) for (title, _), values in table.rows] == [
        ("AUROC", [0.91]),
        ("Images", [2897.0]),
    ]


def test_what_was_not_measured_in_a_place_is_empty_and_not_undefined() -> None:
    scalars = {"auroc/land": 0.9, "auroc/water": None, "f1/land": 0.8}
    html = html_of(measured_report(measures={"scores": scalars}, curves={}))
    (table,) = family(measured_report(measures={"scores": scalars}), "scores").tables
    assert table.rows[1][1][0] is None
    assert re.search(
        r'water</th><td class="number"><span title="undefined">–</span></td><td '
        r'class="number"></td>',
        html,
    )


def test_a_long_table_is_left_to_the_record() -> None:
    def page(places: int) -> str:
        scalars = {f"discovery/error_share/group{place}": 0.1 for place in range(places)}
        return Page(html_of(measured_report(measures={"errors": scalars}))).text

    assert "too long" not in page(40)
    assert "group39" in page(40)
    assert "One table is too long for this page: see “measures” in report.json" in page(41)
    assert "group39" not in page(41)


def test_a_number_that_nobody_described_stands_under_its_key() -> None:
    text = Page(
        html_of(measured_report(measures={"scores": {"new": 0.5}, "unheard": {"of": 0.25}}))
    ).text
    assert "new0.500" in text
    assert "unheard" in text
    assert "of0.250" in text


def test_families_left_out_say_why() -> None:
    text = Page(html_of(measured_report())).text
    assert "Leakage of the outputs, because the predictions hold decisions and no scores." in text
    assert "Place and size, because the data set has no masks." in text
    assert "Not measured" in text


def test_the_first_families_are_open() -> None:
    html = html_of(measured_report())
    assert html.count('<details class="family" open>') == 3
    assert html.count('<details class="family">') == 1


def test_reports_from_before_these_measures_still_render() -> None:
    text = Page(html_of(sample_report())).text
    assert "Further measures" not in text
    assert "Not measured" not in text
    only_left_out = sample_report() | {"left_out": {"scores": "x"}, "measures": {}, "curves": {}}
    assert "Scores and calibration, because x." in Page(html_of(only_left_out)).text


def test_amplification_bars() -> None:
    """The greatest change, 10 points, takes half of the width: from the middle to the right; 5
    less, to the left.
    """
    drawn = measure_charts.amplification(CURVES)
    assert drawn is not None
    assert [(bar.left, bar.width, bar.change) for bar in drawn.bars] == [
        (0.5, 0.5, 0.1), (0.25, 0.25, -0.05), (0.5, 0.0, None), (0.5, 0.0, 0.0),
    ]  # fmt: skip
    text = Page(html_of(measured_report())).text
    for line in (
        "landbird, land +10.0 points",
        "landbird, water -5.0 points",
        "waterbird, land –",
        "−10.0 0 +10.0",
    ):
        assert line.replace(" ", "") in text.replace(" ", "")


def test_many_pairs_leave_the_greatest_changes_in_their_order() -> None:
    change = [[place / 100, -place / 100] for place in range(30)]
    curve = {
        "targets": [f"t{place}" for place in range(30)],
        "biases": ["a", "b"],
        "change": change,
    }
    drawn = measure_charts.amplification({"amplification": curve})
    assert drawn is not None
    assert [bar.target for bar in drawn.bars] == [
        f"t{place}" for place in range(18, 30) for _ in "ab"
    ]
    assert (drawn.pairs, drawn.most) == (60, 0.29)
    html = html_of(measured_report(curves={"amplification": curve}))
    assert "Of the 60 pairs, the 24 with the greatest change are shown." in html


@pytest.mark.parametrize("change", [[[None]], [[0.0]]])
def test_no_amplification_at_all_is_drawn_without_length(change: list[list[float | None]]) -> None:
    drawn = measure_charts.amplification(
        {"amplification": {"targets": "t", "biases": "b", "change": change}}
    )
    assert drawn is not None
    assert [(bar.left, bar.width) for bar in drawn.bars] == [(0.5, 0.0)]


def test_calibration_in_words() -> None:
    """Land: (4 * 0.375 + 6 * 0.9) / 10 = 69 %, right 8 of 10, error (0.5 + 0.6) / 10 = 11 %."""
    drawn = measure_charts.reliability(CURVES)
    assert drawn is not None
    (chart,) = drawn.charts
    assert (
        chart.summary
        == "land: confidence 69.0 %, right 80.0 %, calibration error 11.0 % of 10 images; "
        "water: confidence 60.0 %, right 40.0 %, calibration error 20.0 % of 5 images"
    )
    assert drawn.legend == [(0, "land"), (1, "water")]
    drawn_lines = re.findall(
        r'<path d="[^"]*"[^>]*stroke: var\(--(group-\d)\); stroke-width: 1\.8', chart.svg
    )
    assert drawn_lines == ["group-0", "group-1"]


def test_of_many_labels_the_worst_calibrated_are_drawn() -> None:
    """Label i is off by i / 20; labels 2 to 7 are shown; a bias without images stays words."""
    rows = [
        {"outcome": f"label{i}", "bias": "a", "samples": [8, 0], "confidence": [0.4, None],
         "accuracy": [0.4 - i / 20, None]}
        for i in range(8)
    ] + [
        {"outcome": f"label{i}", "bias": "b", "samples": [0, 0], "confidence": [None] * 2,
         "accuracy": [None] * 2}
        for i in range(8)
    ]  # fmt: skip
    drawn = measure_charts.reliability({"reliability": rows})
    assert drawn is not None
    assert [chart.title for chart in drawn.charts] == [
        f"Calibration: label{i}" for i in range(2, 8)
    ]
    assert drawn.charts[0].summary.endswith("; b: no images")
    assert drawn.outcomes == 8


def test_spectrum_in_words() -> None:
    drawn = measure_charts.band_pass(CURVES)
    assert drawn is not None
    assert (
        drawn.charts[0].summary
        == "low frequencies: from 50.0 % with 1 % of the spectrum's width to 90.0 % with 99 %; "
        "high frequencies: from 25.0 % with 1 % of the spectrum's width to 88.0 % with 99 %"
    )
    assert 'aria-label="Accuracy by kept frequencies. low frequencies: from 50.0 %' in html_of(
        measured_report()
    )


def test_ids_stay_unique_and_references_resolve() -> None:
    html = html_of(measured_report())
    found = Page(html)
    assert len(found.ids) == len(set(found.ids))
    assert {address[1:] for address in found.addresses if address.startswith("#")} <= set(found.ids)
    assert set(re.findall(r'aria-labelledby="([^"]*)"', html)) <= set(found.ids)
    assert not {"link", "iframe", "object"} & set(found.tags)
    assert found.tags.count("script") == 1


def test_odd_names_are_escaped(tmp_path: Path) -> None:
    odd, formula = "</td><script>", "$\\frac{1}{2}$ 鳥"
    report = measured_report(
        measures={
            "fairness": {f"accuracy/{odd}": 0.5, f"precision/{formula}|{odd}": 0.25, odd: 1.0},
            odd: {odd: 0.5},
        },
        left_out={odd: odd},
        curves={
            "amplification": {"targets": [formula], "biases": [odd], "change": [[0.5]]},
            "reliability": [row | {"outcome": formula, "bias": odd} for row in RELIABILITY[:1]],
        },
    )
    report["measures"]["scores"] = {"auroc": 0.5}
    write_report(tmp_path, report)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = Page(html)
    assert found.tags.count("script") == 1  # the page's own
    assert f"{formula}|{odd}" in found.text
    assert f"Calibration: {formula}" in found.text
    assert read_report(tmp_path).measures == plain(report["measures"])


def test_the_first_right_and_the_first_wrong_image_of_a_group() -> None:
    """Rows 10 to 17: of waterbird-land, 12, 13, 14, 16 are wrong, 15 right; 11, 17 are alone."""
    groups, predictions = typed_report(sample_report()).groups, sample_predictions()
    found = {
        group: [(shown.index, shown.right) for shown in right_and_wrong(predictions, groups, group)]
        for group in range(4)
    }
    assert found == {
        0: [(10, True)],
        1: [(17, False)],
        2: [(15, True), (12, False)],
        3: [(11, True)],
    }
    wrong = right_and_wrong(predictions, groups, 2)[1]
    assert (wrong.target, wrong.predicted) == ("waterbird", "landbird")


def test_two_of_a_kind_where_all_are_right() -> None:
    logits = torch.tensor([[1.0, 0.0]]).repeat(3, 1)
    zeros = torch.zeros(3, dtype=torch.int64)
    predictions = Predictions(torch.tensor([4, 5, 6]), ("a", "b", "c"), zeros, zeros, logits)
    shown = right_and_wrong(predictions, typed_report(sample_report()).groups, 0)
    assert [(decision.index, decision.right) for decision in shown] == [(4, True), (5, True)]


def test_right_and_wrong_of_a_label() -> None:
    """Of "Blond-male" (group 7) image 1, which is predicted not to be; no other label matters."""
    groups = Groups(
        ("not Smiling", "Smiling", "not Blond", "Blond"), ("female", "male"), multi_label=True
    )
    target, bias = torch.tensor([[0, 0], [1, 1]]), torch.tensor([1, 1])
    predictions = Predictions(
        torch.tensor([8, 9]), ("a", "b"), target, bias, torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    )
    (shown,) = right_and_wrong(predictions, groups, 7)
    assert (shown.index, shown.target, shown.predicted) == (9, "Blond", "not Blond")


def test_overlays_are_shown_with_their_captions(tmp_path: Path) -> None:
    def overlay(row: int) -> np.ndarray[Any, Any] | None:
        return None if row == 17 else np.full((20, 20, 3), row, np.uint8)

    write_report(tmp_path, measured_report(), Views(sample_predictions(), overlays=overlay))
    found = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert found.alternatives == [
        f"attention map of an image of {name}"
        for name in ("landbird-land", "waterbird-land", "waterbird-land", "waterbird-water")
    ]
    assert "waterbird-land: right, waterbird" in found.text
    assert "waterbird-land: wrong, waterbird predicted as landbird" in found.text


def test_without_overlays_there_is_no_such_section() -> None:
    assert attention(typed_report(sample_report()), Views(sample_predictions())) == []
    assert attention(typed_report(sample_report()), None) == []
    html = html_of(sample_report(), sample_predictions(), overlays=lambda row: None)
    assert "Where the model looks" not in html


def test_of_many_numbers_the_headlines_are_shown_and_the_others_on_demand() -> None:
    """Two headlines of scores and seven others: these, and the table by bias, are folded away."""
    others = {f"number{place}": 0.5 for place in range(7)}
    report = measured_report(
        measures={"scores": {**others, "auroc": 0.9, "ece": 0.1, "auroc/land": 0.91}}, curves={}
    )
    shown = family(report, "scores")
    assert [row.key for row in shown.rows] == ["auroc", "ece"]
    assert [row.key for row in shown.more] == list(others)
    before, _, folded = html_of(report).partition('<details class="more"><summary>')
    assert "AUROC" in before
    assert "number0" not in before
    assert folded.startswith("7 more numbers; by bias</summary>")
    assert Page(html_of(report)).text.count("number6") == 1


def test_few_numbers_are_not_folded() -> None:
    others = {f"number{place}": 0.5 for place in range(6)}
    shown = family(measured_report(measures={"scores": {**others, "auroc": 0.9}}), "scores")
    assert ([row.key for row in shown.rows], shown.more) == ([*others, "auroc"], [])
    assert '<details class="more">' not in html_of(measured_report())


def test_a_family_that_nobody_chose_headlines_of_shows_its_first_numbers() -> None:
    scalars = {f"number{place}": 0.5 for place in range(20)}
    shown = family(measured_report(measures={"unheard": scalars}), "unheard")
    assert ([row.key for row in shown.rows], len(shown.more)) == (list(scalars)[:4], 16)


def test_a_single_chart_is_as_large_as_one_of_many() -> None:
    """Its letters grow with it: empty columns keep their place, no chart is wider than these."""
    html = html_of(measured_report())
    assert re.search(
        r"\.charts \{[^}]*repeat\(auto-fill, minmax\(min\(100%, [\d.]+rem\), 1fr\)\)", html
    )
    assert re.search(r"\.charts figure \{[^}]*max-width: \d+rem", html)


def test_every_table_scrolls_in_its_own_box() -> None:
    """On a narrow screen the page itself stays still."""
    html = html_of(measured_report())
    tables = html.count("<table")
    assert tables == len(re.findall(r'<div class="scroll"[^>]*>\s*<table', html)) > 5
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", html)
    assert re.search(r"\bbody \{[^}]*overflow-wrap: break-word", html)
