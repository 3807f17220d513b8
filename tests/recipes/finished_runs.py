"""What the tests of recipes of several stages do with a finished run."""

import json
import shutil
from pathlib import Path

import torch

from debias import config as configs
from debias.__main__ import main
from debias.build import build
from debias.commands.train import train
from debias.models.checkpoints import load_weights
from debias.parts import Parts
from debias.reports.predictions import read


def first_of(run: Path) -> Parts:
    """The first stage's objects, with its last weights."""
    parts = build(configs.read(run / "stages" / "first" / "stage.yaml"))
    load_weights(parts.module, run / "stages" / "first" / "checkpoints" / "last.ckpt")
    return parts


def assert_evaluation_agrees(run: Path) -> None:
    """An evaluation of the finished run gives the numbers of its report."""
    before = json.loads((run / "report.json").read_text())["metrics"]["test"]
    assert main(["evaluate", str(run), "progress=false", "measures=none"]) == 0
    assert json.loads((run / "report.json").read_text())["metrics"]["test"] == before


def interrupted(run: Path, folder: Path, *lost: str) -> Path:
    """A copy of the run, as if the process had died before it wrote these files and the results."""
    halfway = folder / run.name
    shutil.copytree(run, halfway)
    for left in ("checkpoints", "predictions", "tensorboard"):
        shutil.rmtree(halfway / left)
    for left in ("report.json", "report.html", *lost):
        (halfway / left).unlink()
    return halfway


def assert_same_predictions(run: Path, other: Path) -> None:
    """Two runs give the same logits of the test split."""
    one, two = (read(folder / "predictions" / "test.csv").logits for folder in (run, other))
    assert torch.equal(one, two)


def assert_keeps_masks(run: Path, folder: Path, *lost: str) -> None:
    """The process died while it wrote masks: the others are made, and the results agree."""
    halfway = interrupted(run, folder, configs.LAST_STAGE, "masks/done", *lost)
    masks = sorted((halfway / "masks").rglob("*.png"))
    kept = (masks[0], halfway / "stages" / "first" / "checkpoints" / "last.ckpt")
    before = [path.stat().st_mtime_ns for path in kept]
    masks[1].unlink()
    train(configs.read(halfway / "config.yaml"), resume=halfway)
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert masks[1].read_bytes() == (run / masks[1].relative_to(halfway)).read_bytes()
    assert_same_predictions(halfway, run)
