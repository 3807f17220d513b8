"""``debias list``, ``check`` and ``compare``."""

import json
import shutil

import pytest

from debias import components
from debias.__main__ import main
from debias.metrics.descriptions import DESCRIPTIONS
from tests.commands.conftest import SMALL, overrides
from tests.fakes import birds


def lines_of(capsys, *arguments: str) -> list[str]:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out.splitlines()


def test_list_strategies_is_a_table(capsys):
    """A line for each strategy and recipe, in which columns are two spaces apart."""
    lines = lines_of(capsys, "list", "strategies")
    rows = {cells[0]: cells[1:] for cells in (line.split("  ") for line in lines)}
    assert rows.keys() >= components.TABLES["strategy"].keys() | components.TABLES["recipe"].keys()
    told = [cell.strip() for cell in rows["ssa"] if cell]
    assert told[:5] == [
        "val labels, infers train",
        "one",
        "K + 2",
        "K + 1 predictors",
        "teacher + K folds + 1",
    ]
    assert told[5:] == [
        "Nam et al., ICLR 2022",
        "formula",
        "89.0 ± 0.6",
        "89.8 ± 1.3",
        "Kirichenko et al. 2023, Table 2",
    ]


def test_list_strategies_by_pattern(capsys):
    """The strategy, its options, and its row of the table of methods; a sampler by pattern too."""
    lines = lines_of(capsys, "list", "strategies", "group_[db]*")
    assert lines[0].startswith("group_dro: ")
    assert lines[1:7] == [
        "    needs bias, groups",
        "    strategy.step_size=0.01 (float)",
        "    strategy.adjustment=0.0 (float)",
        "    reads: train labels",
        "    labels: one",
        "    stages: 1",
    ]
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [
        "group_dro",
        "group_balanced",
    ]


def test_list_strategies_knows_the_nearest(capsys):
    assert main(["list", "strategies", "lfg"]) == 2
    assert "no strategy or recipe matches 'lfg'; did you mean 'lff'" in capsys.readouterr().err


WORST_CLASS = DESCRIPTIONS["worst_class"].meaning


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("samplers", "    needs bias"),
        ("preprocessings", "    preprocessing.size=224 (int)"),
        ("schedulers", "    scheduler.every=20 (int)"),
        ("datasets", "    data.root=... (str, no default)"),
        ("metrics", f"worst_class: Worst class. {WORST_CLASS} Ideal 1, higher is better."),
        (
            "configs",
            "drawn_birds/jtt: Setting: chosen by this project for this data set: a model of two "
            "epochs finds the errors of the shortcut. Reached: no published figure. Costs: 2 "
            "stages; 1 network + identification model; 2 + 8 epochs. Differs: data, network and "
            "schedule are choices of this project.",
        ),
    ],
)
def test_list(what, line, capsys):
    assert line in lines_of(capsys, "list", what)


def test_list_models_by_pattern(capsys):
    lines = lines_of(capsys, "list", "models", "resnet1*t")
    assert lines[:-1] == ["resnet10t", "resnet14t"]


def test_check_counts_groups_and_trains_nothing(tmp_path, capsys):
    lines = lines_of(
        capsys, "check", "drawn_birds", *overrides(tmp_path, "sampler.name=group_subsample")
    )
    assert ["landbird-land", "38", "10", "10"] in [line.split() for line in lines]
    assert "an epoch visits 8 images; 3 epochs; selected by worst_group" in lines
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["cache"]


def test_check_counts_images_of_unknown_bias(tmp_path, capsys):
    """Of the drawn birds as a table, the first three test images say nothing of their bias."""
    examples = birds(tmp_path)
    unknown = set(examples.rows("test").tolist()[:3])
    columns = zip(
        examples.images,
        examples.target.tolist(),
        examples.bias.tolist(),
        examples.split.tolist(),
        strict=True,
    )
    rows = [
        (path, y, "" if row in unknown else a, split)
        for row, (path, y, a, split) in enumerate(columns)
    ]
    lines = ["path,target,bias,split", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    config = tmp_path / "table.yaml"
    config.write_text(f"data: {{name: table, csv: {tmp_path}/table.csv, root: {examples.root}}}\n")
    small = [
        *SMALL[4:],
        "preprocessing.name=resize",
        "preprocessing.size=32",
        "model.pretrained=false",
        "cache=false",
    ]
    lines = lines_of(
        capsys, "check", str(config), *small, "model.name=test_resnet", f"out={tmp_path}/runs"
    )
    assert ["unknown", "bias", "0", "0", "3"] in [line.split() for line in lines]


def test_compare_gathers_seeds(finished, tmp_path, capsys):
    runs = tmp_path / "runs"
    for seed in (0, 1):
        shutil.copytree(finished, runs / str(seed))
        report = json.loads((finished / "report.json").read_text())
        report["seed"] = report["config"]["seed"] = seed
        report["metrics"]["test"]["scalars"]["worst_group"] = 0.5 + 0.1 * seed
        (runs / str(seed) / "report.json").write_text(json.dumps(report))
    lines = lines_of(capsys, "compare", str(runs))
    row = next(line for line in lines if line.startswith("group_dro"))
    assert "0, 1" in row
    assert "55.0 ± 7.1" in row  # mean of 50 and 60, sample deviation 10 / sqrt(2)
    assert lines[-1] == str(runs / "comparison.html")
    assert (runs / "comparison.html").is_file()


def test_compare_refuses_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["compare", str(tmp_path / "typo")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("override", ["cache=true", "cache=false"])
def test_check_finds_a_damaged_picture(override, tmp_path, capsys):
    small = overrides(tmp_path, override)
    assert main(["check", "drawn_birds", *small]) == 0
    picture = next((tmp_path / "birds").glob("*/*.jpg"))
    picture.write_bytes(picture.read_bytes()[:300])
    assert main(["check", "drawn_birds", *small]) == 2
    assert picture.name in capsys.readouterr().err
