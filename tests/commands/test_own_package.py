"""Somebody's own package, ``tests/example/birds_lab``: trained, resumed, swept and listed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from debias import config as configs
from debias.__main__ import main
from debias.commands.begin import claim, resume_in
from debias.commands.train import train
from debias.reports.record import read_report
from tests.data.small_pictures import small_examples, write_png

EXAMPLE = Path(__file__).parents[1] / "example"
PART = "birds_lab.strategy:PowerWeights"
CONFIG = """
data: {{name: "birds_lab.data:squares", root: {root}}}
preprocessing: {{size: 32}}
model: {{name: test_resnet, pretrained: false}}
augment: {{name: "birds_lab.augmentation:Dim", darkest: 0.8}}
batch_size: 16
precision: 32-true
measures: none
progress: false
"""


def draw(root: Path) -> None:
    """Squares of two sizes; in training the large ones are mostly in a light scene."""
    root.mkdir()
    for split, aligned, other in (("train", 14, 2), ("val", 4, 4), ("test", 4, 4)):
        for target in (0, 1):
            for bias in (0, 1):
                for number in range(aligned if target == bias else other):
                    image = np.full((32, 32, 3), 40 + 150 * bias + number, np.uint8)
                    image[8 : 14 + 10 * target, 8 : 14 + 10 * target] = (200, 30, 30 + number)
                    write_png(root / f"{split}-{target}-{bias}-{number}.png", image)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    draw(folder / "squares")
    (folder / "own.yaml").write_text(CONFIG.format(root=folder / "squares"))
    return folder


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder that has the package; Python does not find it by itself."""
    monkeypatch.chdir(EXAMPLE)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(EXAMPLE))])
    yield
    for name in [name for name in sys.modules if name.startswith("birds_lab")]:
        del sys.modules[name]


def options(folder: Path, *more: str) -> list[str]:
    return [str(folder / "own.yaml"), f"out={folder / 'runs'}", f"strategy.name={PART}", *more]


def interrupt(history: list[dict[str, Any]]) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    """A run that is interrupted after its first epoch, and resumed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXAMPLE)
        patch.setattr(sys, "path", list(sys.path))
        source, *overrides = options(folder, "epochs=2", "strategy.power=1")
        config = configs.load(source, overrides)
        with pytest.raises(SystemExit):  # which Lightning makes of Ctrl-C
            train(config, watch=interrupt)
        run = Path(config.out) / configs.run_name(config)
        assert main(["train", source, *overrides, f"resume={run}"]) == 0
    return run


def test_a_run_of_own_parts_resumes_and_reports_them(finished):
    assert finished.name.startswith("squares-PowerWeights-Dim-seed0-")
    report = read_report(finished)
    assert [epoch.epoch for epoch in report.history] == [0, 1]
    assert report.method == "PowerWeights"
    assert report.strategy.name == PART
    assert report.strategy.group_labels == "train+val"
    assert report.data.name == "birds_lab.data:squares"
    assert report.data.counts["train"] == [14, 2, 2, 14]
    names = [part.name for part in report.own_parts]
    assert names == ["birds_lab.data:squares", PART, "birds_lab.augmentation:Dim"]
    assert all(len(str(part.sha256)) == 12 for part in report.own_parts)
    assert report.parts[0].own_parts == report.own_parts
    assert str(report.own_parts[1]) in (finished / "report.html").read_text()
    state = torch.load(finished / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert int(state["strategy.steps"]) == 4  # two batches in each of two epochs
    assert state["strategy.weights"].tolist() == pytest.approx([1 / 14, 1 / 2, 1 / 2, 1 / 14])


def test_evaluate_builds_the_own_parts_again(finished, capsys):
    before = json.loads((finished / "report.json").read_text())["metrics"]
    assert main(["evaluate", str(finished), "fresh=true", "measures=none"]) == 0
    after = json.loads((finished / "report.json").read_text())
    assert after["metrics"] == before
    assert after["evaluated"]["own_parts"] == after["own_parts"]


def test_a_changed_file_is_told_apart(finished, folder, capsys):
    """Two seeds of one method whose file has changed between them."""
    other = finished.with_name("other")
    other.mkdir()
    report = json.loads((finished / "report.json").read_text())
    report["config"]["seed"] = report["seed"] = 1
    report["own_parts"][1]["sha256"] = "0123456789ab"
    (other / "report.json").write_text(json.dumps(report))
    try:
        assert main(["compare", "--markdown", str(finished), str(other)]) == 0
    finally:
        (other / "report.json").unlink()
        other.rmdir()
    printed = capsys.readouterr().out
    assert "| PowerWeights |" in printed
    assert f"{PART} (file sha256 0123456789ab)" in printed


def test_check_and_list_know_the_package(folder, capsys):
    assert main(["check", *options(folder, "strategy.power=2")]) == 0
    assert "run squares-PowerWeights-Dim-seed0-" in capsys.readouterr().out
    assert main(["list", "datasets", "birds_lab"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "birds_lab.data:squares: Squares in a dark or light scene, named as in "
        "``train-0-1-17.png``.",
        "    data.name=birds_lab.data:squares",
        "    data.root=... (str, no default)",
        "    data.limit=null (int | None)",
        "every data set also has: data.without, data.label_noise, data.label_pairs, "
        "data.image_noise, "
        "data.image_share, data.noise_seed",
    ]


def test_an_augmentation_for_inferred_groups_is_refused_without_them(folder, capsys):
    name = "birds_lab.augmentation:Chosen"
    assert main(["check", *options(folder, f"augment.name={name}")]) == 2
    assert f"debias: augment.name={name} needs inferred groups" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_trains_and_compares_own_parts(folder, start, capsys):
    sweep = folder / "sweep.yaml"
    sweep.write_text(
        f"configs: [own.yaml: {{strategy.name: [erm, '{PART}']}}]\n"
        f"seeds: [0]\nout: {folder / 'swept'}\nset: {{epochs: 1}}\n"
    )
    status, printed, errors = start("sweep", "run", str(sweep), "workers=1", "threads=1").ended()
    assert status == 0, printed + errors
    assert main(["sweep", "report", str(folder / "swept")]) == 0
    printed = capsys.readouterr().out
    assert "2 planned: 2 done" in printed
    assert "PowerWeights" in printed


def test_resuming_with_a_changed_file_warns(tmp_path):
    """The earlier epochs are of the earlier code; both are recorded."""
    examples = small_examples(tmp_path / "images")
    config, run = configs.Config(), tmp_path / "run"
    part = {"name": PART, "package": None, "version": None, "sha256": "a" * 12}
    before = {"precision": "32-true", "own_parts": [part]}
    claim(run, config, examples, before)
    assert resume_in(run, config, examples, before) == {}
    now = before | {"own_parts": [part | {"sha256": "b" * 12}]}
    with pytest.warns(UserWarning, match=f"{PART} changed since .*run was last trained"):
        assert resume_in(run, config, examples, now) == {"circumstances": [before, now]}
