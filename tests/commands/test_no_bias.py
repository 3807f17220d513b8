"""Data whose bias is known nowhere: every command shows what needs no bias label, by class."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from debias import config as configs
from debias.__main__ import main
from debias.build import build
from debias.commands.train import train
from debias.reports.record import read_report
from debias.sweeps.files import write_plan
from debias.sweeps.plan import plan

CLASSES = ("climbing", "diving", "fishing")
COUNTS = {"train": 8, "val": 4, "test": 6}
CONFIG = """
data: {{name: folder, root: {tree}}}
preprocessing: {{name: resize, size: 32}}
model: {{name: test_resnet, pretrained: false}}
optimizer: {{name: adam, lr: 0.003}}
batch_size: 8
epochs: 1
precision: 32-true
accelerator: cpu
workers: 0
progress: false
"""


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    main(list(arguments))
    return capsys.readouterr().out.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of three classes without bias, and a config of it."""
    place = tmp_path_factory.mktemp("no_bias")
    generator = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for number, name in enumerate(CLASSES):
            (place / "tree" / split / name).mkdir(parents=True)
            for image in range(count):
                pixels = generator.integers(80 * number, 80 * number + 90, (32, 32, 3)).astype(
                    np.uint8
                )
                cv2.imwrite(str(place / "tree" / split / name / f"{image}.png"), pixels)
    (place / "own.yaml").write_text(CONFIG.format(tree=place / "tree"))
    return place


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Path:
    """Folder of a sweep of two methods and two seeds, all done."""
    text = (
        f"out: {folder}/sweep\nconfigs: [own.yaml]\nseeds: [0, 1]\ngrid: {{strategy.name: [erm, "
        "focal]}"
    )
    (folder / "sweep.yaml").write_text(f"{text}\nset: {{progress: false}}\n")
    planned = plan(folder / "sweep.yaml")
    write_plan(planned)
    for run in planned.runs:
        train(run.config)
    return folder / "sweep"


@pytest.fixture(scope="module")
def run(sweep: Path) -> Path:
    """One of its runs."""
    return next(path for path in sorted(sweep.glob("*-erm-*")) if (path / "report.json").is_file())


def test_check_counts_the_images_of_each_class(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, "check", str(folder / "own.yaml"), f"out={folder}/runs")
    assert (
        lines[1] == "the bias of every image is unknown: there are no groups; results are per class"
    )
    assert [line.split() for line in lines[2:6]] == [
        ["class", "train", "val", "test"],
        *([name, "8", "4", "6"] for name in CLASSES),
    ]
    assert lines[7].endswith("selected by worst_class")


def test_a_group_rule_that_is_asked_for_stays_an_error(folder: Path) -> None:
    for rule in ("worst_group", "balanced"):
        with pytest.raises(ValueError, match=f"select={rule} needs bias labels in the validation"):
            build(configs.load(str(folder / "own.yaml"), [f"select={rule}"]))


def test_the_report_has_what_needs_no_bias_label(run: Path) -> None:
    report = read_report(run).entries
    assert report["selection"]["rule"] == "worst_class"
    assert report["strategy"]["group_labels"] == "none"
    assert report["data"]["class_counts"] == {split: [count] * 3 for split, count in COUNTS.items()}
    test = report["metrics"]["test"]
    assert [(row["name"], row["count"]) for row in test["classes"]] == [
        (name, 6) for name in CLASSES
    ]
    accuracies = [row["accuracy"] for row in test["classes"]]
    assert test["scalars"]["worst_class"] == min(accuracies)
    assert test["scalars"]["class_balanced"] == pytest.approx(sum(accuracies) / 3)
    assert [test["scalars"][f"class_accuracy/{name}"] for name in CLASSES] == accuracies
    assert set(report["measures"]["scores"]) == {
        "f1",
        "auroc",
        "average_precision",
        "brier",
        "ece",
        "mce",
    }
    assert None not in report["measures"]["scores"].values()
    assert [row["bias"] for row in report["curves"]["reliability"]] == ["all images"]
    assert sum(report["curves"]["reliability"][0]["samples"]) == 18


def test_evaluate_prints_the_classes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "evaluate", str(run), "measures=scores", "progress=false")
    start = lines.index("test: accuracy in percent, 95 % interval, images")
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == list(CLASSES)
    assert all(line.endswith("of 6") for line in lines[start + 1 : start + 4])
    assert [line.split()[0] for line in lines[start + 5 : start + 8]] == [
        "worst_class",
        "class_balanced",
        "average",
    ]
    assert lines[-1] == f"{run}/report.html"


def test_the_page_is_of_classes(run: Path) -> None:
    page = (run / "report.html").read_text()
    worst = min(read_report(run).test.classes, key=lambda row: row.accuracy)
    for text in (
        "Accuracy of each class",
        f"on its worst class, {worst.name}",
        "Results are by class",
    ):
        assert text in page
    assert "no images" not in page
    assert "worst group" not in page.split('id="selection"')[0].lower()
    for name in CLASSES:
        assert f"{name}-unknown" not in page


def test_predictions_need_no_bias_column(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",") for line in (run / "predictions" / "test.csv").read_text().splitlines()]
    without = [",".join([*row[:3], *row[4:]]) for row in rows]
    assert rows[0][3] == "bias"
    (tmp_path / "test.csv").write_text("\n".join(without) + "\n")
    lines = printed(capsys, "evaluate", str(tmp_path / "test.csv"), f"out={tmp_path}/numbers.json")
    assert lines[-2] == "add bias=COLUMN, the column of a bias attribute, for results per group"
    numbers, report = json.loads((tmp_path / "numbers.json").read_text()), read_report(run).entries
    assert numbers["metrics"]["classes"] == report["metrics"]["test"]["classes"]
    assert numbers["measures"]["scores"] == pytest.approx(report["measures"]["scores"])


def test_compare_has_the_worst_class(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "compare", "--markdown", str(sweep))
    header = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert header[3:] == ["worst class", "class balanced", "average", *CLASSES, "s/epoch"]
    assert {line.split("|")[1].strip() for line in lines[2:4]} == {"erm", "focal"}
    assert all(
        "-" not in cell.replace("± -", "") for line in lines[2:4] for cell in line.split("|")[4:-2]
    )


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html"])
def test_a_sweep_is_reported_by_class(
    form: str, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every run, every pair and every rank, in each format."""
    printed_lines = printed(capsys, "sweep", "report", str(sweep), f"format={form}")
    text = (sweep / "sweep.html").read_text() if form == "html" else "\n".join(printed_lines)
    assert "worst_class" in text if form == "csv" else "worst class" in text
    assert "worst group" not in text
    if form == "markdown":
        assert "4 planned: 4 done" in text
        assert "Worst-class accuracy of the first method minus that of the second" in text
        assert sum(line.count("| folder | none |") for line in printed_lines) == 4
