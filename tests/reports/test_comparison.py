"""Several runs in one table: hand-computed means and deviations, names, and what is missing."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from debias.reports.comparison import compare, read_summary
from debias.reports.method_views import write_comparison
from debias.reports.record import read_report
from tests.reports.sample_runs import finished_run, sample_report, started_run
from tests.reports.test_page import Page


def make(folder: Path, *, seed: int = 0, worst: float | None = 0.7, **report: Any) -> Path:
    accuracies = (0.95, 0.9, worst, 0.92)
    return finished_run(folder, sample_report(seed=seed, accuracies=accuracies, **report))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """ERM with one seed, GroupDRO with three (worst group 0.70, 0.72, 0.74), one unfinished."""
    make(tmp_path / "a", strategy="erm", worst=0.3)
    for seed in range(3):
        make(tmp_path / f"dro/{seed}", seed=seed, worst=0.7 + 0.02 * seed)
    started_run(tmp_path / "dro/3")
    return tmp_path


def test_text_table_to_the_letter(runs: Path) -> None:
    """Mean of 70, 72, 74: 72.0, deviation sqrt((4 + 0 + 4) / 2) = 2.0; 9.7 to 11.7 seconds."""
    unfinished = runs / "dro/3"
    assert (
        compare([runs]).table()
        == "method     group labels  seeds    worst group  adjusted average     average  "
        "landbird-land  landbird-water  waterbird-land  waterbird-water  s/epoch\n"
        "---------  ------------  -------  -----------  ----------------  ----------  "
        "-------------  --------------  --------------  ---------------  -------\n"
        "group_dro  train+val     0, 1, 2   72.0 ± 2.0        91.3 ± 0.0  88.2 ± 0.0  "
        "         95.0            90.0            72.0             92.0     10.7\n"
        "erm        train+val     0           30.0 ± -          91.3 ± -    88.2 ± -  "
        "         95.0            90.0            30.0             92.0      9.7\n"
        "\n"
        f"left out: {unfinished} has not finished (no report.json): "
        f"resume it with `debias train {unfinished}/config.yaml resume={unfinished}`"
    )


def test_markdown_table_to_the_letter(runs: Path) -> None:
    lines = compare([runs / "a"]).table("markdown").splitlines()
    assert lines == [
        (
            "| method | group labels | seeds | worst group | adjusted average | average "
            "| landbird-land | landbird-water | waterbird-land | waterbird-water | s/epoch |"
        ),
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        (
            "| erm | train+val | 0 | 30.0 ± - | 91.3 ± - | 88.2 ± - | 95.0 | 90.0 | 30.0 | 92.0 | "
            "9.7 |"
        ),
    ]


def test_runs_on_other_rows_are_no_seeds_of_one_method(tmp_path: Path) -> None:
    """The table was corrected between two seeds: a training image less."""
    make(tmp_path / "before", strategy="erm")
    report = sample_report(seed=1, accuracies=(0.95, 0.9, 0.7, 0.92), strategy="erm")
    report["data"]["counts"]["train"][0] -= 1
    finished_run(tmp_path / "after", report)
    compared = compare([tmp_path])
    assert sorted(method.seeds for method in compared.methods) == [(0,), (1,)]
    assert all("data.rows=" in method.label for method in compared.methods)


def test_other_rows_are_told_of_where_nothing_else_tells_methods_apart(tmp_path: Path) -> None:
    """Three methods: two that differ in rows alone, and one that has other settings as well."""
    for name, rows, rate in (("a", 38, 0.1), ("b", 37, 0.1), ("c", 37, 0.2)):
        report = sample_report(config={"strategy": {"name": "group_dro", "step_size": rate}})
        report["data"]["counts"]["train"][0] = rows
        finished_run(tmp_path / name, report)
    labels = {method.runs[0].folder.name: method.label for method in compare([tmp_path]).methods}
    assert labels["a"].startswith("group_dro (data.rows=")
    assert labels["b"].startswith("group_dro (data.rows=")
    assert labels["a"] != labels["b"]
    assert labels["c"] == "group_dro (strategy.step_size=0.2)"


def test_the_digest_of_the_rows_tells_methods_apart_where_reports_have_it(tmp_path: Path) -> None:
    """The same counts of other images; older reports are told apart by the counts."""
    for seed, digest in enumerate(("a" * 32, "a" * 32, "b" * 32, None, None)):
        report = sample_report(seed=seed)
        report["data"] |= {"digest": digest} if digest else {}
        finished_run(tmp_path / str(seed), report)
    found = {method.seeds: method.label for method in compare([tmp_path]).methods}
    assert set(found) == {(0, 1), (2,), (3, 4)}
    assert (found[0, 1], found[2,]) == (
        "group_dro (data.rows=aaaaaaaa)",
        "group_dro (data.rows=bbbbbbbb)",
    )


def test_reports_of_before_pool_with_newer_ones(tmp_path: Path) -> None:
    """Without a digest of the rows, and with another kind of digest of the weights, nothing says
    that they differ.
    """
    for seed, (digest, weights) in enumerate(
        (("a" * 32, "w (tensors sha256 1)"), (None, "w (sha256 2)"))
    ):
        report = sample_report(seed=seed)
        report["data"] |= {"digest": digest} if digest else {}
        report["model"]["weights"] = weights
        finished_run(tmp_path / str(seed), report)
    compared = compare([tmp_path])
    assert [method.seeds for method in compared.methods] == [(0, 1)]
    assert compared.notes() == []


def test_unknown_format_and_nothing_to_compare(tmp_path: Path) -> None:
    nothing = compare([tmp_path / "gone"])
    assert nothing.table().startswith("no finished run\n\nleft out: ")
    assert "does not exist" in nothing.left_out[0]
    with pytest.raises(ValueError, match="format 'latex' is unknown; valid: text, markdown"):
        nothing.table("latex")


def test_runs_of_other_circumstances_are_pooled_with_a_note(tmp_path: Path) -> None:
    """Three seeds of one method, on other weights, elsewhere, by other code; ERM has two alike."""
    circumstances = [
        (
            "w.pt (tensors sha256 a)",
            "bf16-mixed",
            {"commit": "1234567890", "dirty": True},
            "2.12.0",
        ),
        ("w.pt (tensors sha256 b)", "32-true", {"commit": "1234567890", "dirty": False}, "2.13.0"),
        ("w.pt (tensors sha256 a)", "32-true", {"commit": None, "dirty": None}, "2.13.0"),
    ]
    for seed, (weights, precision, git, torch) in enumerate(circumstances):
        report = sample_report(seed=seed) | {
            "precision": precision,
            "git": git,
            "versions": {"torch": torch},
        }
        report["model"]["weights"] = weights
        finished_run(tmp_path / f"dro/{seed}", report)
    for seed in range(2):
        make(tmp_path / f"erm/{seed}", seed=seed, strategy="erm", worst=0.3)
    compared = compare([tmp_path])
    note = (
        "group_dro: differs between seeds: "
        "weights: w.pt (tensors sha256 a) (seed 0, 2), w.pt (tensors sha256 b) (seed 1); "
        "precision: bf16-mixed (seed 0), 32-true (seed 1, 2); "
        "code: commit 1234567 with changes (seed 0), commit 1234567 (seed 1), unknown (seed 2); "
        "torch: 2.12.0 (seed 0), 2.13.0 (seed 1, 2)"
    )
    assert [method.seeds for method in compared.methods] == [(0, 1, 2), (0, 1)]
    assert compared.table().splitlines()[-2:] == ["", note]
    assert compared.table("markdown").splitlines()[-2:] == ["", f"- {note}"]
    write_comparison(tmp_path / "comparison.html", compared)
    assert note in Page((tmp_path / "comparison.html").read_text(encoding="utf-8")).text


def test_a_resumed_run_is_of_every_commit_that_trained_it(tmp_path: Path) -> None:
    whole, resumed = sample_report(), sample_report(seed=1)
    begun = {"git": {"commit": "fedcba987", "dirty": False}, "versions": {"torch": "2.13.0"}}
    finished_run(tmp_path / "0", whole)
    finished_run(
        tmp_path / "1", resumed | {"circumstances": [begun, {key: resumed[key] for key in begun}]}
    )
    assert compare([tmp_path]).notes() == [
        "group_dro: differs between seeds: code: commit abc1234 with changes (seed 0), "
        "commit fedcba9, then commit abc1234 with changes (seed 1)"
    ]


def test_folder_given_twice_counts_once(runs: Path) -> None:
    assert compare([runs, runs / "a", runs / "dro"]).table() == compare([runs]).table()


def test_a_repeated_seed_is_not_a_second_sample(runs: Path) -> None:
    shutil.copytree(runs / "dro/0", runs / "dro/again")
    compared = compare([runs / "dro"])
    assert compared.methods[0].seeds == (0, 1, 2)
    assert (
        f"{runs / 'dro/again'} repeats {runs / 'dro/0'}: same settings, same seed"
        in compared.left_out
    )


def test_execution_settings_do_not_split_a_method(tmp_path: Path) -> None:
    make(tmp_path / "0", config={"workers": 1, "data": {"root": "/a"}})
    make(tmp_path / "1", seed=1, config={"workers": 8, "data": {"root": "/b"}})
    assert len(compare([tmp_path]).methods) == 2
    (method,) = compare([tmp_path], ignore=("workers", "data.root")).methods
    assert (method.label, method.seeds) == ("group_dro", (0, 1))


def test_names_are_as_short_as_they_can_be(tmp_path: Path) -> None:
    """ERM twice from two configs; GroupDRO twice from one with another step size; one alone."""
    make(tmp_path / "0", strategy="erm", worst=0.5)
    make(
        tmp_path / "1",
        strategy="erm",
        worst=0.4,
        config={"name": "waterbirds/subg", "sampler": {"name": "sub"}},
    )
    make(tmp_path / "2", worst=0.3)
    make(tmp_path / "3", worst=0.2, config={"strategy": {"name": "group_dro", "step_size": 0.1}})
    make(tmp_path / "4", strategy="alone", worst=0.1)
    assert [method.label for method in compare([tmp_path]).methods] == [
        "erm",
        "erm (subg)",
        "group_dro (strategy.step_size=default)",
        "group_dro (strategy.step_size=0.1)",
        "alone",
    ]


def test_undefined_groups_are_dashes_and_rank_last(tmp_path: Path) -> None:
    finished_run(tmp_path / "0", sample_report(strategy="none", accuracies=(None,) * 4))
    make(tmp_path / "1", strategy="erm", worst=None)
    undefined, partly = reversed(compare([tmp_path]).rows())
    assert [undefined[0], undefined[3], *undefined[6:10]] == ["none", "-", "-", "-", "-", "-"]
    assert [partly[0], partly[3], *partly[6:10]] == ["erm", "90.0 ± -", "95.0", "90.0", "-", "92.0"]


def test_too_many_groups_are_left_to_the_reports(tmp_path: Path) -> None:
    make(tmp_path / "0", biases=("land", "water"))
    make(tmp_path / "1", strategy="erm", targets=("a", "b"))
    both = compare([tmp_path])
    assert len(both.groups) == 8
    make(tmp_path / "2", strategy="other", targets=("c", "b"))
    assert compare([tmp_path]).groups == ()


def test_page_links_to_the_runs_and_needs_nothing_else(runs: Path) -> None:
    odd = runs / 'odd "<b>" ü%'
    make(odd, strategy="<b>&", worst=0.1)
    compared = compare([runs])
    write_comparison(runs / "pages" / "comparison.html", compared)
    found = Page((runs / "pages" / "comparison.html").read_text(encoding="utf-8"))
    links = [
        "../dro/0/report.html",
        "../dro/1/report.html",
        "../dro/2/report.html",
        "../a/report.html",
    ]
    pages = [address for address in found.addresses if not address.startswith("#")]
    assert pages == [*links, "../odd%20%22%3Cb%3E%22%20%C3%BC%25/report.html"]
    assert not {"link", "img"} & set(found.tags)
    assert found.tags.count("script") == 1
    assert "3 methods compared" in found.text
    bars = found.text[found.text.index("Methods side by side") :]
    assert "Worst group ● group_dro 72.0 % ± 2.0 ■ erm 30.0 % ± – ▲ <b>& 10.0 % ± –" in bars
    assert "has not finished" in found.text


def test_curves_may_be_of_classes_though_the_test_images_have_groups(tmp_path: Path) -> None:
    """Without any bias label in validation, the curve is of the worst class: 80.6 %."""
    report = sample_report()
    for epoch in report["history"]:
        epoch["val"]["worst_group"] = None
    finished_run(tmp_path / "0", report)
    write_comparison(tmp_path / "comparison.html", compare([tmp_path]))
    found = Page((tmp_path / "comparison.html").read_text(encoding="utf-8")).text
    assert "over the groups, or over the classes if no bias is known there" in found
    assert "seed 0 selected epoch 3 with 80.6 %" in (tmp_path / "comparison.html").read_text()


def test_page_links_to_no_page_that_is_not_there(runs: Path) -> None:
    """Somebody deleted one."""
    (runs / "dro/1/report.html").unlink()
    write_comparison(runs / "comparison.html", compare([runs]))
    found = Page((runs / "comparison.html").read_text(encoding="utf-8"))
    pages = [address for address in found.addresses if not address.startswith("#")]
    assert pages == ["dro/0/report.html", "dro/2/report.html", "a/report.html"]
    assert "group_drotrain+val0, 1, 272.0 ± 2.0" in found.text


def test_error_bar_spans_one_deviation_to_each_side(runs: Path) -> None:
    """72 ± 2: from 70 %, 4 % wide; a single seed has none; ±0 of the average is a point.

    After them come the four groups, of which the third is the worst one.
    """
    write_comparison(runs / "comparison.html", compare([runs]))
    html = (runs / "comparison.html").read_text(encoding="utf-8")
    whiskers = [piece.split('"')[0] for piece in html.split('class="whisker" style="')[1:]]
    worst, average = "left:70.0%;width:4.0%", "left:88.2%;width:0.0%"
    others = [f"left:{place:.1f}%;width:0.0%" for place in (95, 90, 92)]
    assert whiskers == [worst, average, *others[:2], worst, others[2]]


def test_measures_get_columns(tmp_path: Path) -> None:
    """Mean of 0.8 and 0.9 is 85.0, their deviation sqrt(0.005) = 7.1; a run that was not measured
    shows a dash.
    """
    for seed, leakage in enumerate((0.8, 0.9)):
        report = sample_report(seed=seed) | {
            "measures": {"features": {"leakage/features": leakage}}
        }
        finished_run(tmp_path / f"dro/{seed}", report)
    make(tmp_path / "erm", strategy="erm", worst=0.3)
    compared = compare([tmp_path], measures=["features:leakage/features"])
    assert compared.header()[5:7] == ["average", "leakage/features"]
    assert [row[6] for row in compared.rows()] == ["85.0 ± 7.1", "-"]


def test_a_measure_of_the_positive_class_names_it(tmp_path: Path) -> None:
    """The second of two classes, or the report's; a measure that depends on none says nothing."""
    measured = {
        "measures": {
            "fairness": {"equal_opportunity_difference": 0.4},
            "features": {"leakage/features": 0.8},
        }
    }
    finished_run(tmp_path / "dro", sample_report() | measured)
    name = "fairness:equal_opportunity_difference"
    assert compare([tmp_path], measures=[name]).notes() == ["positive class of fairness: waterbird"]
    assert compare([tmp_path], measures=["features:leakage/features"]).notes() == []
    finished_run(
        tmp_path / "erm", sample_report(strategy="erm") | measured | {"positive": "landbird"}
    )
    notes = compare([tmp_path], measures=[name]).notes()
    assert notes == [
        "positive class of fairness: landbird (erm); waterbird (group_dro)"
    ] or notes == ["positive class of fairness: waterbird (group_dro); landbird (erm)"]


def test_methods_without_known_groups_rank_by_their_worst_class_after_the_others(
    tmp_path: Path,
) -> None:
    """Their worst class selected the epoch, so it has a column; their groups have none."""
    finished_run(tmp_path / "dro", sample_report())
    for strategy, worst in (("erm", 0.3), ("lff", 0.6)):
        finished_run(tmp_path / strategy, without_groups(strategy, worst))
    compared = compare([tmp_path])
    assert [method.label for method in compared.methods] == ["group_dro", "lff", "erm"]
    assert compared.header()[3:7] == ["worst group", "adjusted average", "average", "worst class"]
    assert [row[3] for row in compared.rows()] == ["71.2 ± -", "-", "-"]
    assert [row[6] for row in compared.rows()] == ["80.6 ± -", "60.0 ± -", "30.0 ± -"]
    alone = compare([tmp_path / "erm", tmp_path / "lff"])
    assert alone.header()[3:] == [
        "worst class",
        "class balanced",
        "average",
        "cat",
        "dog",
        "s/epoch",
    ]
    assert alone.rows()[0][3:8] == ["60.0 ± -", "75.0 ± -", "70.0 ± -", "90.0", "60.0"]


def without_groups(strategy: str, worst: float) -> dict[str, Any]:
    """A record of two classes whose bias is unknown everywhere."""
    report = sample_report(
        strategy=strategy, accuracies=(None,) * 4, config={"data": {"name": "folder"}}
    )
    fixed = {"count": 10, "low": 0.1, "high": 0.9}
    rows = [{"name": "cat", "accuracy": 0.9} | fixed, {"name": "dog", "accuracy": worst} | fixed]
    scalars = {"worst_class": worst, "class_balanced": (0.9 + worst) / 2, "average": 0.7}
    scalars |= {"class_accuracy/cat": 0.9, "class_accuracy/dog": worst}
    report["metrics"]["test"] = {**report["metrics"]["test"], "classes": rows, "scalars": scalars}
    report["selection"]["rule"] = "worst_class"
    return report


def test_a_number_that_some_runs_lack_says_of_how_many_it_is(tmp_path: Path) -> None:
    """Of three seeds two were measured: the mean of 0.630 and 0.636, and not of 0."""
    for seed, leakage in enumerate((0.630, 0.636, None)):
        found = {} if leakage is None else {"measures": {"features": {"leakage/features": leakage}}}
        finished_run(tmp_path / str(seed), sample_report(seed=seed) | found)
    (row,) = compare([tmp_path], measures=["features:leakage/features"]).rows()
    assert row[2:7] == ["0, 1, 2", "71.2 ± 0.0", "91.3 ± 0.0", "88.2 ± 0.0", "63.3 ± 0.4 (2 of 3)"]


def test_a_run_of_before_a_setting_differs_in_nothing(tmp_path: Path) -> None:
    """The report of seed 0 knows neither recipes nor inferred groups; that of seed 1 has what they
    are unless given.
    """
    make(tmp_path / "0")
    make(
        tmp_path / "1",
        seed=1,
        config={"recipe": {"name": "single"}, "groups": {"file": None, "splits": ["train"]}},
    )
    make(tmp_path / "2", seed=2, config={"recipe": {"name": "jtt"}})
    labels = {(method.label, method.seeds) for method in compare([tmp_path]).methods}
    assert labels == {
        ("group_dro (recipe.name=single)", (0, 1)),
        ("group_dro (recipe.name=jtt)", (2,)),
    }


def test_a_measure_that_no_run_has_is_refused(tmp_path: Path) -> None:
    """What one run has is a column, empty for the others."""
    make(tmp_path / "a", strategy="erm")
    report = sample_report(seed=0, accuracies=(0.95, 0.9, 0.7, 0.92))
    finished_run(tmp_path / "b", report | {"measures": {"features": {"leakage/features": 0.7}}})
    assert (
        "leakage/features" in compare([tmp_path], measures=["features:leakage/features"]).header()
    )
    with pytest.raises(
        ValueError,
        match=r"has the measure 'features:leakage'.*did you mean 'features:leakage/features'",
    ):
        compare([tmp_path], measures=["features:leakage"])
    assert compare([tmp_path / "gone"], measures=["features:leakage"]).methods == ()


@pytest.mark.parametrize("groups", [None, "none", [3], [{"name": "a"}]])
def test_a_report_with_damaged_groups_is_left_out_of_the_table(groups, tmp_path: Path) -> None:
    make(tmp_path / "a", strategy="erm")
    report = sample_report(seed=1)
    report["metrics"]["test"]["groups"] = groups
    finished_run(tmp_path / "b", report)
    found = compare([tmp_path])
    assert len(found.methods) == 1
    assert "has no test metrics" in found.left_out[0]


def test_a_summary_keeps_what_tables_and_curves_show_and_little_else(tmp_path: Path) -> None:
    """The worst accuracies of each epoch stay; losses, other splits and entries do not."""
    run = finished_run(tmp_path / "run", sample_report(epochs=3) | {"measures": {"x": {"y": 1.0}}})
    whole, brief = read_report(run), read_summary(run)
    assert brief.test == whole.test
    assert (brief.config, brief.data, brief.seconds) == (whole.config, whole.data, whole.seconds)
    assert [set(epoch.val) for epoch in brief.history] == [{"worst_group", "worst_class"}] * 3
    assert [epoch.val["worst_group"] for epoch in brief.history] == [
        epoch.val["worst_group"] for epoch in whole.history
    ]
    assert brief.selection.chosen.value == whole.selection.chosen.value
    assert brief.measures == brief.entries == {}
    assert read_summary(run, measured=True).measures == {"x": {"y": 1.0}}
    text, small = (len(repr(vars(report))) for report in (whole, brief))
    assert small < text / 3
