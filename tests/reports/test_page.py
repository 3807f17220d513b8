"""The page of a run: right numbers and words, nothing from outside, and no name that breaks it."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from debias.errors import InputError
from debias.reports import charts, templates, wording
from debias.reports.galleries import Views
from debias.reports.predictions import Predictions
from debias.reports.record import Epoch, read_report
from debias.reports.run_folder import write_report
from tests.reports.sample_runs import (
    html_of,
    sample_predictions,
    sample_report,
    typed_report,
)

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects addresses, alternative texts, ids and visible text, and wants every tag closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.alternatives: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")
        ]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "img":
            self.alternatives.append(found["alt"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.pieces))


def picture(row: int) -> tuple[np.ndarray[Any, Any], None]:
    return np.full((20, 20, 3), row, np.uint8), None


def page(report: dict[str, Any]) -> Page:
    return Page(html_of(report, sample_predictions(), picture))


def verdict(report: dict[str, Any]) -> list[str]:
    return wording.verdict(typed_report(report))


def test_verdict_is_the_sentence_a_reader_needs() -> None:
    """Average 88.2 minus worst group 71.2 is 17.0; no other group's interval starts below 74.6."""
    assert verdict(sample_report()) == [
        (
            "group_dro reaches 71.2 % [64.0, 78.1] on its worst group, waterbird-land (642 test "
            "images), 17.0 points under its average of 88.2 %."
        ),
        (
            "Epoch 3 was chosen by validation worst-group accuracy. "
            "Group labels were used in training and in choosing the epoch."
        ),
    ]


def test_verdict_says_when_the_worst_group_is_not_settled() -> None:
    report = sample_report()
    report["metrics"]["test"]["groups"][3]["low"] = 0.74
    assert (
        verdict(report)[-1] == "It is uncertain which group is the worst: "
        "its interval overlaps the interval of waterbird-water."
    )


def test_verdict_does_not_doubt_the_worst_group_for_a_group_without_images() -> None:
    """The interval of no images is [0, 1]. Those of the other groups do not overlap."""
    sentences = verdict(sample_report(accuracies=(0.95, None, 0.712, 0.9)))
    assert not any("uncertain" in sentence for sentence in sentences)


def test_verdict_of_an_average_that_images_of_unknown_bias_pull_down() -> None:
    """71.2 on the worst group, and 69.4 on all images."""
    report = sample_report()
    report["metrics"]["test"]["scalars"]["average"] = 0.694
    assert verdict(report)[0].endswith(
        "waterbird-land (642 test images), 1.8 points above its average of 69.4 %."
    )


def test_verdict_without_any_known_bias() -> None:
    assert verdict(sample_report(accuracies=(None,) * 4)) == [
        "No group has an accuracy, because no test image has a known bias attribute."
    ]


def test_charts_are_of_classes_where_only_validation_lacks_the_bias() -> None:
    """The page is of the test split's groups all the same, and says how many classes it has."""
    report = sample_report()
    fixed = {"accuracy": 0.5, "count": 9, "low": 0.2, "high": 0.8}
    classes = [{"name": name} | fixed for name in ("landbird", "waterbird")]
    nothing = [
        {**group, "accuracy": None, "count": 0} for group in report["metrics"]["val"]["groups"]
    ]
    report["metrics"]["val"] = {**report["metrics"]["val"], "groups": nothing, "classes": classes}
    for epoch in report["history"]:
        epoch["val"] |= {"class_accuracy/landbird": 0.5, "class_accuracy/waterbird": 0.25}
    text = page(report).text
    assert "Accuracy of each group" in text
    assert "are shown" not in text.split("Training curves")[1].split("Selected epoch")[0]
    assert "waterbird: from 25.0 % to 25.0 %" in html_of(report)


def test_page_holds_the_numbers() -> None:
    text = page(sample_report()).text
    assert "waterbird-land 642 images, worst 71.2 % [67.6, 74.6]" in text
    assert "landbird-land 2,255 images 95.0 % [94.0, 95.8]" in text
    assert "Adjusted average91.391.3Mean of the group accuracies weighted" in text
    assert "56 1.2 % 133 642 wrong".replace(" ", "") in text.replace(" ", "")
    assert "commit abc1234, with changes that were not committed" in text
    assert "strategy.name=group_dro" in text
    assert text.count("(used)") == 1


def test_page_of_a_resumed_run_says_where_each_part_was_trained() -> None:
    report = sample_report()
    assert "Resumed" not in page(report).text
    begun = {
        "device": "cuda (4 threads)",
        "versions": {"torch": "2.12.0"},
        "git": {"commit": None, "dirty": None},
    }
    report["circumstances"] = [begun, {key: report[key] for key in begun}]
    first = "started on cuda (4 threads), torch 2.12.0, not under version control"
    then = (
        "then on cpu (2 threads), torch 2.13.0, commit abc1234, with changes that were not "
        "committed"
    )
    assert f"{first}; {then}" in page(report).text


def test_page_shows_what_each_rule_chose() -> None:
    """Each rule's columns are in their order: epoch 0 has half of the last accuracies."""
    report = sample_report()
    text = page(report).text
    assert (
        "Best validation …epochworst groupworst classaveragegroup-balancedclass difference" in text
    )
    assert "class difference (less is better; needs no group labels)035.680.688.243.010.8" in text
    report["selection"] |= {"rule": "class_difference", "epoch": 0}
    assert verdict(report)[1].startswith(
        "Epoch 0 was chosen by validation class difference (less is better; needs no"
    )
    # of a report from before that rule, there is no number
    for row in report["selection"]["table"]:
        row["val"].pop("class_difference", None)
    assert "35.680.688.243.0–" in page(report).text


def test_page_needs_nothing_from_outside() -> None:
    found = page(sample_report())
    assert len(found.addresses) > 4
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in found.addresses)
    assert not {"link", "iframe", "object"} & set(found.tags)
    assert found.tags.count("script") == 1
    html = html_of(sample_report())
    own = (templates.HTML / "script.js").read_text(encoding="utf-8")
    assert f"<script>{own}</script>" in html
    assert not re.search(r"fetch|XMLHttp|import\(|innerHTML|document\.write|https?:", own)
    assert not re.search(r"url\((?!#)|@import", html)


def test_ids_are_unique_and_references_resolve() -> None:
    found = page(sample_report())
    assert len(found.ids) == len(set(found.ids))
    assert {address[1:] for address in found.addresses if address.startswith("#")} <= set(found.ids)


def test_mistakes_are_shown_in_order_with_words() -> None:
    found = page(sample_report())
    assert found.alternatives == ["waterbird predicted as landbird"] * 4
    assert re.findall(r"birds/\d+\.jpg", found.text) == [
        f"birds/{row}.jpg" for row in (16, 13, 14, 12)
    ]
    assert "predicted as landbird, 95.3 % birds/14.jpg" in found.text


def test_a_page_full_of_pictures_is_below_three_megabytes() -> None:
    """Twelve mistakes of 2000 x 1500 pixels, each with a map, and the maps of the groups."""
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    large = cv2.resize(cv2.GaussianBlur(noise[::8, ::8], None, 1), (2000, 1500))
    rows = Predictions(
        torch.arange(40),
        tuple(f"birds/{row}.jpg" for row in range(40)),
        torch.ones(40, dtype=torch.int64),
        torch.zeros(40, dtype=torch.int64),
        torch.tensor([[1.0, 0.0]]).expand(40, 2),
    )
    html = html_of(sample_report(), rows, lambda row: (large, None), overlays=lambda row: large)
    assert html.count("<img") == 12 * 2 + 2
    assert 500_000 < len(html) < 3_000_000


def test_picture_that_cannot_be_read_leaves_its_caption() -> None:
    def broken(row: int) -> tuple[np.ndarray[Any, Any], None]:
        if row == 13:
            raise InputError("truncated")
        return picture(row)

    found = Page(html_of(sample_report(), sample_predictions(), broken))
    assert len(found.alternatives) == 3
    assert "picture could not be read predicted as landbird, 100.0 % birds/13.jpg" in found.text


def test_without_pictures_or_predictions_there_is_no_grid() -> None:
    for html in (
        html_of(sample_report()),
        html_of(sample_report(), sample_predictions(), None),
    ):
        assert "most confident mistakes" not in Page(html).text


def test_prepared_pictures_of_each_group() -> None:
    """Rows 10 to 17 are of groups 0, 3, 2, 2, 2, 2, 2, 1: at most two of each, in order."""
    asked = []

    def strip(row: int) -> np.ndarray[Any, Any]:
        asked.append(row)
        return np.full((36, 104, 3), row, np.uint8)

    found = Page(html_of(sample_report(), sample_predictions(), prepared=strip))
    assert asked == [10, 17, 12, 13, 11]
    assert [text.partition(":")[0] for text in found.alternatives] == [
        "landbird-land", "landbird-water", "waterbird-land", "waterbird-land", "waterbird-water",
    ]  # fmt: skip
    assert "Input of the model" in found.text


def test_pictures_that_stay_as_they_are_have_no_section() -> None:
    for prepared in (None, lambda row: None):
        assert "Input of the model" not in html_of(
            sample_report(), sample_predictions(), picture, prepared
        )


def test_no_mistakes_says_so() -> None:
    report = sample_report(accuracies=(0.2, 0.9, 0.9, 0.9))
    assert "every image of the worst group is predicted right" in page(report).text


def test_odd_names_are_escaped_everywhere(tmp_path: Path) -> None:
    odd = ('<b>"x"</b>', "a, 'ü' & $\\frac{1}{2}$ _鳥")
    report = sample_report(
        targets=odd, biases=("_land", "</svg><script>"), accuracies=(0.9, 0.5, 0.3, 0.8)
    )
    write_report(tmp_path, report, Views(sample_predictions(), picture))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = Page(html)
    assert found.tags.count("script") == 1
    assert "b" in found.tags
    assert '<b>"x"' not in html
    assert (
        "reaches 30.0 % [64.0, 78.1] on its worst group, a, 'ü' & $\\frac{1}{2}$ _鳥-_land (642"
        in found.text
    )
    assert found.alternatives[0] == "a, 'ü' & $\\frac{1}{2}$ _鳥 predicted as <b>\"x\"</b>"
    assert read_report(tmp_path).data.targets == list(odd)


def test_an_undefined_group_is_a_dash_not_a_zero() -> None:
    found = page(sample_report(accuracies=(0.9, None, 0.5, 0.8)))
    assert "landbird-water 0 images no images" in found.text
    assert "reaches 50.0 %" in found.text
    assert "NaN" not in found.text
    assert "landbird-water: from undefined to undefined" in html_of(
        sample_report(accuracies=(0.9, None, 0.5, 0.8))
    )


def test_a_single_epoch() -> None:
    found = page(sample_report(epochs=1))
    assert "Its only epoch was used." in found.text
    assert found.tags.count("svg") == 3


def test_without_epochs_there_are_no_curves() -> None:
    """A method that only refits a head has no history."""
    found = page(sample_report() | {"history": []})
    assert "Training curves" not in found.text
    assert "svg" not in found.tags


def test_multi_label() -> None:
    """One group per label, state and bias; the worst is "Blond-male", number 7 of 8."""
    names = [
        f"{row}-{bias}"
        for row in ("not Smiling", "Smiling", "not Blond", "Blond")
        for bias in ("female", "male")
    ]
    report = sample_report()
    report["data"] |= {
        "targets": ["not Smiling", "Smiling", "not Blond", "Blond"], "biases": ["female", "male"],
        "aligned": [], "multi_label": True, "groups": names,
        "counts": {split: [10] * 8 for split in ("train", "val", "test")},
    }  # fmt: skip
    accuracies = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.3]
    for split in ("val", "test"):
        report["metrics"][split]["groups"] = [
            {
                "name": name,
                "accuracy": accuracy,
                "count": 10,
                "low": accuracy - 0.01,
                "high": accuracy + 0.01,
            }
            for name, accuracy in zip(names, accuracies, strict=True)
        ]
    text = Page(html_of(report)).text
    assert (
        "reaches 30.0 % [64.0, 78.1] on its worst group, Blond-male (10 test images), 58.2 points "
        "under" in text
    )
    assert "Blond-male 10 images, worst 30.0 % [29.0, 31.0]" in text


def test_many_groups_keep_the_charts_readable() -> None:
    """Twelve groups: the bars show all, the charts the eight with the lowest accuracy."""
    names = [f"c{i}-x" for i in range(12)]
    report = sample_report()
    report["data"] |= {
        "targets": [f"c{i}" for i in range(12)], "biases": ["x"], "aligned": [], "groups": names,
        "counts": {split: [5] * 12 for split in ("train", "val", "test")},
    }  # fmt: skip
    report["metrics"]["test"]["groups"] = [
        {"name": name, "accuracy": 0.9 - i / 20, "count": 5, "low": None, "high": None}
        for i, name in enumerate(names)
    ]
    html = html_of(report)
    assert "Of the 12 groups, the 8 with the lowest test accuracy are shown." in Page(html).text
    assert (
        re.findall(r'mark group-\d" aria-hidden="true">.</span> (c\d+-x)</li>', html) == names[4:]
    )


@pytest.mark.parametrize(("groups", "folded"), [(16, 0), (17, 9)])
def test_of_very_many_groups_the_worst_are_shown_and_the_others_on_demand(
    groups: int, folded: int
) -> None:
    """The later a group, the worse: of 17, the bars of the last eight stand before the fold."""
    names = [f"c{i}-x" for i in range(groups)]
    report = sample_report()
    report["data"] |= {
        "targets": [f"c{i}" for i in range(groups)], "biases": ["x"], "aligned": [],
        "groups": names, "counts": {split: [5] * groups for split in ("train", "val", "test")},
    }  # fmt: skip
    report["metrics"]["test"]["groups"] = [
        {"name": name, "accuracy": 0.9 - i / 20, "count": 5, "low": None, "high": None}
        for i, name in enumerate(names)
    ]
    html = html_of(report)
    shown, fold, hidden = html.partition(
        f'<details class="more"><summary>{folded} more groups, none of them worse'
    )
    assert bool(fold) == bool(folded)
    assert re.findall(r"<b>(c\d+-x)</b>", shown) == names[folded:]
    assert re.findall(r"<b>(c\d+-x)</b>", hidden) == names[:folded]
    assert (f"The images of each of the {groups} groups" in Page(html).text) == bool(folded)


def test_of_thousands_of_groups_the_page_lists_the_worst_and_a_file_lists_all(
    tmp_path: Path,
) -> None:
    """The last eight are the worst. No epoch has a number of a single group."""
    names = [f"c{i}-x" for i in range(1001)]
    report = sample_report()
    report["data"] |= {
        "targets": [name[:-2] for name in names], "biases": ["x"], "aligned": [], "groups": names,
        "counts": {split: [5] * 1001 for split in ("train", "val", "test")},
    }  # fmt: skip
    report["metrics"]["test"]["groups"] = [
        {"name": name, "accuracy": 1 - i / 2000, "count": 5, "low": None, "high": None}
        for i, name in enumerate(names)
    ]
    for epoch in report["history"]:
        epoch["val"] = {key: value for key, value in epoch["val"].items() if "/" not in key}
    write_report(tmp_path, report)
    html = (tmp_path / "report.html").read_text()
    assert re.findall(r"<b>(c\d+-x)</b>", html) == names[-8:]
    text = Page(html).text
    assert "993 more groups, none of them worse, are in the file accuracies.csv" in text
    assert "The images of each" not in text
    assert "Of the 1001" not in text
    rows = (tmp_path / "accuracies.csv").read_text().splitlines()
    assert rows[0] == "split,group,images,accuracy,low,high"
    assert [row for row in rows if row.startswith("test,")][1000] == "test,c1000-x,5,0.5,,"


def test_a_group_has_one_colour_in_bars_legend_and_charts() -> None:
    html = html_of(sample_report())
    bars = re.findall(r'<span class="fill (group-\d)"', html)
    assert bars == ["group-0", "group-1", "group-2", "group-3"]
    weights = html[html.index("Training: group weight") :]
    drawn = re.findall(
        r'<path d="[^"]*"[^>]*stroke: var\(--(group-\d)\); stroke-width: 1\.8', weights
    )
    assert drawn == bars


def test_colours_stand_out_on_light_and_dark_pages() -> None:
    """WCAG contrast: text 4.5:1, marks and lines of groups 3:1, on either mode's background."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a: str, b: str) -> float:
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for name, pair in charts.COLOURS.items():
        for colour, background in zip(pair, ("#ffffff", "#15181c"), strict=True):
            least = {"ink": 7.0, "quiet": 4.5, "line": 1.0}.get(name, 3.0)
            assert contrast(colour, background) >= least, (name, colour)


def test_families_gather_what_was_logged_per_group() -> None:
    history = [
        Epoch(0, {}, {"loss": 1.0, "group_weight/a/b": 0.25}),
        Epoch(1, {}, {"loss": 1.0, "group_weight/a/b": 0.5}),
    ]
    found = charts.families(history, ["x", "a/b"])
    assert list(found) == ["group_weight"]
    assert found["group_weight"] == [charts.Line([0.25, 0.5], 1)]


@pytest.mark.parametrize("group", range(20))
def test_groups_of_the_same_colour_differ_in_marker(group: int) -> None:
    """Colours repeat after eight groups, the pair of colour and marker does not within twenty."""
    others = [
        (charts.group_colour(other), charts.group_marker(other))
        for other in range(20)
        if other != group
    ]
    assert (charts.group_colour(group), charts.group_marker(group)) not in others
