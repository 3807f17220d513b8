"""What is said of a sweep, finished or not: every table by hand, in every format."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from debias.__main__ import main
from debias.config import EXECUTION
from debias.reports.templates import environment
from debias.sweeps.files import Files, write_plan
from debias.sweeps.plan import Plan, PlannedRun, make_run, plan
from debias.sweeps.protocol import Protocol, write_protocol
from debias.sweeps.report import Results, datasets, results, rows
from debias.sweeps.report_charts import sensitivity
from debias.sweeps.report_formats import FORMATS, formatted
from debias.sweeps.report_tables import ReportTable, ranks, tables
from tests.reports.sample_runs import sample_report
from tests.reports.test_page import Page
from tests.sweeps.finished_runs import finish

Sweep = Callable[[str], Path]


@pytest.fixture(scope="module", autouse=True)
def unrendered_charts() -> None:
    """Here charts are rendered."""


def read(out: Path) -> Results:
    return results(out, ignore=EXECUTION)


def shown(out: Path, format: str) -> str:
    return formatted(read(out), format, out, EXECUTION)


def table(found: Results, title: str) -> ReportTable:
    return next(each for each in tables(found) if each.title == title)


THREE = "[drawn_birds, drawn_birds/group_effective_number, drawn_birds/irm]"


@pytest.fixture
def half_finished(sweep: Sweep) -> Plan:
    """Of six planned runs ERM has both seeds, group reweighting one and one that failed, IRM none.

    On the test images ERM gets one of the two waterbirds on land in seed 0 and none in seed 1;
    group reweighting both.
    """
    planned = plan(sweep(f"configs: {THREE}\nseeds: [0, 1]"))
    write_plan(planned)
    erm, dro, _, again, failed, _ = planned.runs
    finish(erm, worst=0.5, right=[1, 1, 1, 1, 1, 0, 1, 1])
    finish(again, worst=0.3, right=[1, 1, 1, 1, 0, 0, 1, 1])
    finish(dro, worst=0.85, right=[1, 1, 1, 1, 1, 1, 1, 1], peak_memory_mb=None)
    error = Files(planned.out, failed.name).error
    error.parent.mkdir()
    error.write_text("OSError: disk full\n\nTraceback (most recent call last): ...")
    return planned


def test_rows(half_finished: Plan) -> None:
    found = rows(half_finished.out)
    assert [(row.name, row.settings) for row in found] == [
        (run.name, run.settings) for run in half_finished.runs
    ]
    statuses = [
        ("done", ""),
        ("done", ""),
        ("waiting", ""),
        ("done", ""),
        ("failed", "OSError: disk full"),
    ]
    assert [(row.status, row.reason) for row in found] == [*statuses, ("waiting", "")]
    assert [row.report is not None for row in found] == [True, True, False, True, False, False]
    assert [row.setting for row in found[:3]] == [
        "drawn_birds",
        "drawn_birds/group_effective_number",
        "drawn_birds/irm",
    ]


def test_a_data_set_is_more_than_its_loader(sweep: Sweep) -> None:
    """Two folders of one layout share no table, ranks or pairs; masks alone change nothing."""
    planned = plan(sweep("configs: [drawn_birds]\ngrid: {data.root: [a, b]}\nseeds: [0]"))
    write_plan(planned)
    for run in planned.runs:
        finish(run, worst=0.5, right=[1, 1, 1, 1, 1, 0, 1, 1])
    found = read(planned.out)
    assert list(found.comparisons) == ["drawn_birds (root=a)", "drawn_birds (root=b)"]
    ignoring = results(planned.out, ignore=[*EXECUTION, "data.root"])
    assert list(ignoring.comparisons) == ["drawn_birds"]
    data = {"name": "waterbirds", "root": "a"}
    assert datasets([data, data | {"masks": "m"}], ()) == ["waterbirds", "waterbirds"]


def added(half_finished: Plan, strategy: str, *, group_labels: str = "val") -> PlannedRun:
    """A finished run of the sweep's folder that is not in its plan."""
    out = half_finished.out
    source = "drawn_birds" if strategy == "erm" else f"drawn_birds/{strategy}"
    run = make_run(source, {}, {"seed": 2}, out)
    labelled = {"name": strategy, "requires": [], "group_labels": group_labels}
    finish(run, worst=0.7, right=[1, 1, 1, 1, 1, 1, 1, 0], strategy=labelled)
    return run


def test_finished_runs_that_were_added_to_the_folder_are_in_it(half_finished: Plan) -> None:
    """One more seed of ERM and another method, in every table, marked; the plan stays as it was."""
    before = rows(half_finished.out)
    mine = added(half_finished, "erm", group_labels="train+val")
    other = added(half_finished, "vrex")
    found = read(half_finished.out)
    assert list(found.rows[: len(before)]) == before
    assert {row.name for row in found.rows[len(before) :]} == {mine.name, other.name}
    assert all(row.added and row.status == "done" for row in found.rows[len(before) :])
    seeds = {method.label: method.seeds for method in found.comparisons["drawn_birds"].methods}
    assert seeds == {"group_reweighting": (0,), "erm": (0, 1, 2), "vrex": (2,)}
    counted = {tuple(row[:1] + row[4:7]) for row in table(found, "Runs and their cost").rows}
    assert {
        ("erm", "2", "0", "0"),
        ("erm (added)", "1", "0", "0"),
        ("vrex (added)", "1", "0", "0"),
    } <= counted
    lines = shown(half_finished.out, "markdown").splitlines()
    assert "6 planned: 3 done, 1 failed, 2 waiting; 2 added" in lines
    assert f"- added to the folder, not in the plan: {other.name}" in lines
    assert f"added to the folder, not in the plan: {mine.name}" in shown(half_finished.out, "html")
    assert sum("(added)" in line for line in shown(half_finished.out, "csv").splitlines()) == 2


def test_added_runs_of_one_config_have_a_row_per_method(half_finished: Plan) -> None:
    """Both are of ``drawn_birds``, and differ in the strategy; the costs are not averaged."""
    for strategy, seconds in (("focal", 10.0), ("group_dro", 1000.0)):
        varied = {"strategy.name": strategy, "seed": 0}
        run = make_run("drawn_birds", {}, varied, half_finished.out)
        finish(run, worst=0.6, seconds={"train": 3.0, "epoch": 1.0, "total": seconds})
    rows = table(read(half_finished.out), "Runs and their cost").rows
    costs = {row[0]: (row[4], row[7]) for row in rows if "(added)" in row[0]}
    assert costs == {"focal (added)": ("1", "10"), "group_dro (added)": ("1", "1000")}
    lines = csv.DictReader(io.StringIO(shown(half_finished.out, "csv")))
    assert [line["settings"] for line in lines if "(added)" in line["settings"]] == [
        "drawn_birds focal (added) seed=0",
        "drawn_birds group_dro (added) seed=0",
    ]


def test_added_runs_that_cannot_be_read_or_read_too_much_are_told(half_finished: Plan) -> None:
    write_protocol(half_finished.out, Protocol("validation_groups_known"))
    good, wide = added(half_finished, "erm"), added(half_finished, "vrex", group_labels="train+val")
    (half_finished.out / "broken").mkdir()
    (half_finished.out / "broken" / "report.json").write_text("{")
    found = read(half_finished.out)
    assert [row.name for row in found.rows if row.added] == [good.name]
    first, second = sorted(found.left_out, key=lambda line: "broken" in line)
    reason = "which labels=validation_groups_known does not allow"
    assert first == f"{wide.name} reads the group labels of train, {reason}"
    assert "broken" in second
    assert f"- left out: {first}" in shown(half_finished.out, "markdown").splitlines()


def test_beside_a_search_nothing_is_added(half_finished: Plan) -> None:
    """What it once chose and does not choose any more lies there, too."""
    added(half_finished, "vrex")
    write_protocol(
        half_finished.out, Protocol("training_groups_known", ("worst_group",), 9, (0,), (1,))
    )
    assert not any(row.added for row in read(half_finished.out).rows)


def test_markdown(half_finished: Plan) -> None:
    """Mean of 50 and 30 is 40, their deviation 20 / sqrt(2) = 14.1. The best method comes first."""
    lines = shown(half_finished.out, "markdown").splitlines()
    assert [line.split(" | ")[:4] for line in lines[2:4]] == [
        ["| group_reweighting", "train+val", "0", "85.0 ± -"],
        ["| erm", "train+val", "0, 1", "40.0 ± 14.1"],
    ]
    titles = [line.partition(".**")[0] for line in lines if line.startswith("**")]
    assert titles == ["**Which differences are real", "**Runs and their cost", "**Every run"]
    assert lines[-2:] == [
        "6 planned: 3 done, 1 failed, 2 waiting",
        "- failed: drawn_birds/group_effective_number seed=1: OSError: disk full",
    ]


def test_markdown_names_a_repeated_run_once(half_finished: Plan) -> None:
    first = half_finished.runs[0].folder
    copy = shutil.copytree(first, half_finished.out / "copy")
    lines = shown(half_finished.out, "markdown").splitlines()
    named = [line for line in lines if "repeats" in line]
    assert named == [f"- left out: {copy} repeats {first}: same settings, same seed"]


def test_costs_count_what_is_missing(half_finished: Plan) -> None:
    """Each made-up run took 95 seconds and 1812 MB; group reweighting's did not say how much."""
    assert table(read(half_finished.out), "Runs and their cost").rows == [
        ["erm", "train+val", "drawn_birds", "2", "2", "0", "0", "95", "1812"],
        ["group_reweighting", "train+val", "drawn_birds", "1", "1", "1", "0", "95", "-"],
        ["drawn_birds/irm", "-", "-", "-", "0", "0", "2", "-", "-"],
    ]


def test_costs_are_those_of_each_data_set(sweep: Sweep) -> None:
    """Each seed of one setting has data of its own; the third seed waits."""
    text = "configs: [drawn_birds]\nseeds: [0, 1, 2]\nset: {data.root: 'birds-${seed}'}"
    planned = plan(sweep(text))
    write_plan(planned)
    for run, worst in zip(planned.runs[:2], (0.5, 0.4), strict=True):
        finish(run, worst=worst)
    assert [row[:7] for row in table(read(planned.out), "Runs and their cost").rows] == [
        ["erm", "train+val", "drawn_birds (root=birds-0)", "1", "1", "0", "0"],
        ["erm", "train+val", "drawn_birds (root=birds-1)", "1", "1", "0", "0"],
        ["drawn_birds", "-", "-", "-", "0", "0", "1"],
    ]


def test_every_seed_is_kept(half_finished: Plan) -> None:
    """The average of the made-up runs is 88.2, so that the gaps are 3.2, 38.2 and 58.2."""
    cost = ["95", "1812"]
    assert table(read(half_finished.out), "Every run").rows == [
        [
            "group_reweighting",
            "drawn_birds",
            "train+val",
            "0",
            "85.0",
            "[64.0, 78.1]",
            "88.2",
            "3.2",
            "95",
            "-",
        ],
        ["erm", "drawn_birds", "train+val", "0", "50.0", "[64.0, 78.1]", "88.2", "38.2", *cost],
        ["erm", "drawn_birds", "train+val", "1", "30.0", "[64.0, 78.1]", "88.2", "58.2", *cost],
    ]


def test_pairs_share_seeds_and_images(half_finished: Plan) -> None:
    """Only seed 0 is shared: 2/2 - 1/2 = 50 points. ERM's group is resampled as 0, 1 or 2 right of
    2, with probability 1/4, 1/2, 1/4, so that a quarter of the differences is 0: not real, and the
    interval goes from 0 to 100."""
    (pair,) = read(half_finished.out).paired["drawn_birds"].pairs
    assert (pair.first, pair.second, pair.seeds, pair.differences) == (
        "group_reweighting",
        "erm",
        (0,),
        (0.5,),
    )
    assert (pair.low, pair.high) == (0, 1)
    assert pair.p_value == pytest.approx(0.5, abs=0.03)
    (row,) = table(read(half_finished.out), "Which differences are real").rows
    assert row[:6] == ["group_reweighting", "erm", "drawn_birds", "0", "+50.0", "[+0.0, +100.0]"]
    assert row[7] == "no"


def test_runs_that_cannot_be_paired_are_named(sweep: Sweep) -> None:
    """Without predictions, or without a common seed, there is nothing to compare."""
    planned = plan(sweep(f"configs: {THREE}\nseeds: [0, 1]"))
    write_plan(planned)
    finish(planned.runs[0], worst=0.5, right=[1] * 8)
    finish(planned.runs[4], worst=0.4, right=[1] * 8)
    finish(planned.runs[2], worst=0.3)
    paired = read(planned.out).paired["drawn_birds"]
    assert paired.pairs == ()
    assert paired.left_out == (
        "not compared in pairs: irm seed 0 has no test.csv",
        "not compared: erm and group_reweighting share no seed, or have different test images",
    )


def test_pairs_share_resamples_and_adjust_for_all_pairs(sweep: Sweep) -> None:
    """ERM is always right; the others are right about one image of two in each group. They equal
    ERM on a resample with probability (1/4)^4, so that p = 2 / 256, times 3 for three pairs."""
    planned = plan(sweep(f"configs: {THREE}"))
    write_plan(planned)
    for run, worst, right in zip(
        planned.runs, (0.9, 0.5, 0.4), ([1] * 8, [1, 0] * 4, [1, 0] * 4), strict=True
    ):
        finish(run, worst=worst, right=right)
    one, two, same = read(planned.out).paired["drawn_birds"].pairs
    assert (same.low, same.high, same.p_value) == (0, 0, 1)
    assert one.p_value == two.p_value == pytest.approx(6 / 256, rel=0.3)


@pytest.mark.parametrize(
    ("bias", "difference"),
    [([0, 0, 1, 1, 0, 0, 1, 1], 1.0), ([0, 0, 1, 1, 0, 0, -1, -1], 0.0), ([-1] * 8, 0.5)],
    ids=["groups", "some unknown", "classes"],
)
def test_pairs_compare_known_groups_or_else_classes(
    sweep: Sweep, bias: list[int], difference: float
) -> None:
    """The second is wrong about both waterbirds on water, which are half of the waterbirds."""
    planned = plan(sweep("configs: [drawn_birds, drawn_birds/irm]"))
    write_plan(planned)
    for run, right in zip(planned.runs, ([1] * 8, [1] * 6 + [0] * 2), strict=True):
        finish(run, worst=0.9 if right[7] else 0.5, right=right, bias=bias)
    (pair,) = read(planned.out).paired["drawn_birds"].pairs
    assert pair.difference == difference


@pytest.mark.parametrize("other", [{"first": 1}, {"bias": [0, 0, 1, 1, 0, 0, 1, 0]}])
def test_pairs_need_the_same_images_and_groups(sweep: Sweep, other: dict[str, Any]) -> None:
    planned = plan(sweep("configs: [drawn_birds, drawn_birds/irm]"))
    write_plan(planned)
    for run, changes in zip(planned.runs, ({}, other), strict=True):
        finish(run, worst=0.9, right=[1] * 8, **changes)
    paired = read(planned.out).paired["drawn_birds"]
    assert paired.pairs == ()
    assert "erm and irm share no seed, or have different test images" in paired.left_out[0]


def test_a_difference_that_is_real(sweep: Sweep) -> None:
    """One is right about all images, the other about none: 100 points each time, p = 2 / 10,000."""
    planned = plan(
        sweep("configs: [drawn_birds, drawn_birds/group_effective_number]\nseeds: [0, 1]")
    )
    write_plan(planned)
    for run in planned.runs:
        right = run.source == "drawn_birds/group_effective_number"
        finish(run, worst=float(right), right=[int(right)] * 8)
    (row,) = table(read(planned.out), "Which differences are real").rows
    assert row[3:] == ["0, 1", "+100.0", "[+100.0, +100.0]", "0.0002", "yes"]


def test_one_seed_makes_nothing_real(sweep: Sweep) -> None:
    """As before but with a single seed: images leave no doubt, another seed might differ."""
    planned = plan(sweep("configs: [drawn_birds, drawn_birds/group_effective_number]"))
    write_plan(planned)
    for run in planned.runs:
        right = run.source == "drawn_birds/group_effective_number"
        finish(run, worst=float(right), right=[int(right)] * 8)
    (row,) = table(read(planned.out), "Which differences are real").rows
    assert row[3:] == ["0", "+100.0", "[+100.0, +100.0]", "0.0002", "no"]


def test_ranks_on_each_data_set(sweep: Sweep) -> None:
    """ERM is first of two on one data set, and alone on another."""
    text = (
        "configs: [drawn_birds, drawn_birds/group_effective_number, waterbirds: {data.root: [x]}]"
    )
    planned = plan(sweep(text))
    write_plan(planned)
    for run, worst in zip(planned.runs, (0.5, 0.4, 0.3), strict=True):
        finish(run, worst=worst)
    found = read(planned.out)
    assert table(found, "Ranks").header[3:] == ["mean rank", "drawn_birds", "waterbirds"]
    assert table(found, "Ranks").rows == [
        ["erm", "train+val", "2", "1.0", "1", "1"],
        ["group_reweighting", "train+val", "1", "2.0", "2", "-"],
    ]
    assert [
        line
        for line in shown(planned.out, "markdown").splitlines()
        if line in ("**drawn_birds**", "**waterbirds**")
    ]


def test_equal_methods_share_a_rank(half_finished: Plan) -> None:
    finish(half_finished.runs[2], worst=0.85)
    methods = read(half_finished.out).comparisons["drawn_birds"].methods
    assert ranks(methods) == {"group_reweighting": 1, "irm": 1, "erm": 3}


def test_csv_has_every_run_and_every_digit(half_finished: Plan) -> None:
    lines = list(csv.DictReader(io.StringIO(shown(half_finished.out, "csv"))))
    assert [line["run"] for line in lines] == [run.name for run in half_finished.runs]
    assert [line["status"] for line in lines] == [
        "done",
        "done",
        "waiting",
        "done",
        "failed",
        "waiting",
    ]
    assert (lines[4]["reason"], lines[4]["worst_group"]) == ("OSError: disk full", "")
    erm = {
        key: lines[3][key]
        for key in ("method", "seed", "worst_group", "worst_group_low", "accuracy/waterbird-land")
    }
    assert list(erm.values()) == ["erm", "1", "0.3", "0.64", "0.3"]
    assert float(lines[3]["robustness_gap"]) == pytest.approx(0.582)


def test_latex_escapes_what_it_must(half_finished: Plan) -> None:
    text = shown(half_finished.out, "latex")
    begins = [line for line in text.splitlines() if line.startswith(r"\begin{tabular}")]
    assert begins[:2] == [r"\begin{tabular}{lllrrrrrrrr}", r"\begin{tabular}{lllrrrrr}"]
    assert r"group\_reweighting & train+val & 0 & 85.0 $\pm$ - & " in text
    assert "% 6 planned: 3 done, 1 failed, 2 waiting" in text


def test_every_format_tells_of_runs_that_another_code_made(half_finished: Plan) -> None:
    path = half_finished.runs[3].folder / "report.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps(report | {"git": {"commit": "fedcba987", "dirty": False}}))
    note = (
        "erm: differs between seeds: code: commit abc1234 with changes (seed 0), commit "
        "fedcba9 (seed 1)"
    )
    assert f"\n- {note}\n" in shown(half_finished.out, "markdown")
    assert f"\n% {note}\n" in shown(half_finished.out, "latex")
    assert note in Page(shown(half_finished.out, "html")).text


def test_page_has_the_tables_and_the_charts(half_finished: Plan) -> None:
    html = shown(half_finished.out, "html")
    found = Page(html)
    assert not {"link", "img"} & set(found.tags)
    assert found.tags.count("script") == 1
    assert found.addresses[:3] == [
        f"{half_finished.runs[place].name}/report.html" for place in (1, 0, 3)
    ]
    for text in (
        "6 planned: 3 done",
        "85.0 ± -",
        "Which differences are real",
        "OSError: disk full",
    ):
        assert text in found.text
    assert (
        "group_reweighting: average 88.2 %, gap 3.2 points, on the front; erm: average 88.2 %, gap "
        "48.2 points" in found.text
    )
    # the trade-off, and the learning curves of the three runs
    assert html.count("<svg") == 2


def test_a_varied_setting_is_drawn_by_validation(sweep: Sweep) -> None:
    """Validation's worst group at the chosen epoch is its accuracy: 0.2 and 0.4 at 0.1 average to
    0.3; the config that has one value only has no line."""
    planned = plan(
        sweep(
            "configs: [drawn_birds/group_effective_number: {strategy.beta: [0.01, 0.1]}, "
            "drawn_birds]\nseeds: [0, 1]"
        )
    )
    write_plan(planned)
    for run, worst in zip(planned.runs, (0.5, 0.2, 0.6, 0.7, 0.4, 0.6), strict=True):
        finish(run, worst=worst)
    found = read(planned.out)
    reports = [row.report for row in found.rows if row.report is not None]
    (key,) = sensitivity(reports, EXECUTION)
    assert key == "strategy.beta"
    lines = sensitivity(reports, EXECUTION)[key]
    assert list(lines) == ["drawn_birds/group_effective_number"]
    assert list(lines["drawn_birds/group_effective_number"]) == [0.01, 0.1]
    assert list(lines["drawn_birds/group_effective_number"].values()) == pytest.approx([0.6, 0.3])
    html = formatted(found, "html", planned.out, EXECUTION)
    assert "drawn_birds/group_effective_number: 0.01 60.0 %, 0.1 30.0 %" in Page(html).text
    assert html.count("<svg") == 3


def test_scores_of_different_selection_rules_are_not_averaged(sweep: Sweep) -> None:
    """In the made-up selection, the worst group has 71.2 % and the average is 88.2 %."""
    grid = "{select: [worst_group, average], optimizer.lr: [0.1, 0.2]}"
    planned = plan(sweep(f"configs: [drawn_birds]\ngrid: {grid}"))
    write_plan(planned)
    for run in planned.runs:
        selection = sample_report()["selection"] | {"rule": run.config.select}
        finish(run, worst=0.5, selection=selection)
    reports = [row.report for row in read(planned.out).rows if row.report is not None]
    found = sensitivity(reports, EXECUTION)
    assert list(found) == ["optimizer.lr"]
    lines = found["optimizer.lr"]
    assert lines["drawn_birds (worst_group)"] == pytest.approx({0.1: 0.712, 0.2: 0.712})
    assert lines["drawn_birds (average)"] == pytest.approx({0.1: 0.882, 0.2: 0.882})


def test_values_that_are_words_are_numbered(sweep: Sweep) -> None:
    planned = plan(sweep("configs: [drawn_birds]\ngrid: {scheduler.name: [constant, cosine]}"))
    write_plan(planned)
    for run in planned.runs:
        finish(run, worst=0.5)
    assert (
        "values: 1 constant, 2 cosine; drawn_birds: constant 50.0 %"
        in Page(shown(planned.out, "html")).text
    )


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_names_the_protocol(half_finished: Plan, format: str) -> None:
    assert "validation_groups_known" not in shown(half_finished.out, format)
    write_protocol(half_finished.out, Protocol("validation_groups_known"))
    assert "validation_groups_known" in shown(half_finished.out, format)


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_done(sweep: Sweep, format: str) -> None:
    planned = plan(sweep("configs: [drawn_birds]"))
    write_plan(planned)
    assert "1 waiting" in shown(planned.out, format) or format == "csv"
    if format == "markdown":
        assert shown(planned.out, format).splitlines() == [
            "no finished run",
            "",
            "1 planned: 1 waiting",
        ]


def test_no_sweep_and_no_such_format(tmp_path: Path, half_finished: Plan) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} contains no sweep"):
        rows(tmp_path)
    with pytest.raises(
        ValueError, match="format=excel is unknown; valid: csv, html, latex, markdown"
    ):
        shown(half_finished.out, "excel")


def test_command_prints_or_writes(
    half_finished: Plan, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A page goes into the folder unless told otherwise; a sweep gives the same text each time."""
    out = str(half_finished.out)
    assert main(["sweep", "report", out]) == 0
    printed = capsys.readouterr().out
    assert main(["sweep", "report", out, f"out={tmp_path}/a/table.md"]) == 0
    assert (tmp_path / "a" / "table.md").read_text() == printed
    assert main(["sweep", "report", out, "format=html"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{out}/sweep.html"
    assert (half_finished.out / "sweep.html").is_file()
    assert main(["sweep", "report", out, "seed=1"]) == 2
    assert (
        "sweep report takes format= and out= beside the folder; got seed=1"
        in capsys.readouterr().err
    )


def test_long_tables_scroll_and_long_legends_are_folded(
    half_finished: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two methods and four runs are long here. Every name and value is still on the page."""
    monkeypatch.setattr("debias.reports.charts.drawing", lambda *_, **options: "<svg></svg>")
    usual = shown(half_finished.out, "html")
    assert 'class="scroll tall"' not in usual
    monkeypatch.setattr("debias.reports.templates.environment", environment.__wrapped__)
    monkeypatch.setattr("debias.reports.templates.LONG_TABLE", 1)
    monkeypatch.setattr("debias.reports.templates.LONG_LEGEND", 1)
    long = shown(half_finished.out, "html")
    assert long.count('class="scroll tall"') == usual.count('class="scroll"') - 1  # one pair
    assert long.count("<summary>2 names and their values</summary>") == 1
    assert long.count("<summary>2 methods, to hide and show</summary>") == 1
    summary = re.search(r'<figcaption class="small">(.*?)</figcaption>', usual)
    assert summary
    assert f'<p class="quiet small">{summary[1]}</p>' in long
