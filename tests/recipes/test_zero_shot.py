"""Zero-shot: prompts and embeddings in files to a head, without training and without labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from debias import config as configs
from debias.__main__ import main
from debias.build import build
from debias.commands.train import train
from debias.evaluation.predictions import predict_split
from debias.heads.zero_shot import calibrated_projection, orthogonal_projection
from debias.recipes import last_layer
from debias.recipes.zero_shot import ZeroShot
from debias.reports.predictions import read
from debias.runs.run import Run
from debias.runs.work import Sizes
from tests.commands.conftest import overrides
from tests.heads.spurious_rows import SIZE
from tests.recipes.drawn_backbone import DrawnBackbone

TABLE = """role,class,attribute,text
spurious,,,land
class,waterbird,,a waterbird
candidate,landbird,land,a landbird on land
candidate,waterbird,land,a waterbird on land
class,landbird,,a landbird
candidate,landbird,water,a landbird on water
spurious,,,water
class,landbird,,a bird of land
"""


def files(folder: Path, size: int = SIZE, table: str = TABLE) -> dict[str, str]:
    """The options of a table, and of drawn embeddings of its rows."""
    (folder / "prompts.csv").write_text(table)
    drawn = np.random.default_rng(1).standard_normal((table.count("\n") - 1, size))
    np.save(folder / "texts.npy", drawn)
    return {"prompts": str(folder / "prompts.csv"), "embeddings": str(folder / "texts.npy")}


def expected(folder: Path, projection: str, strength: float) -> Tensor:
    """``(2, D)`` texts: landbird is the mean of rows 4 and 7, and waterbird is row 1."""
    rows = torch.from_numpy(np.load(folder / "texts.npy"))
    rows = rows / rows.norm(dim=1, keepdim=True)
    means = torch.stack([(rows[4] + rows[7]) / 2, rows[1]])
    moved = {
        "none": lambda: torch.eye(SIZE).double(),
        "orthogonal": lambda: orthogonal_projection(rows[[0, 6]]),
        "calibrated": lambda: calibrated_projection(
            rows[[0, 6]], rows[[2, 5]], torch.tensor([[0, 1]]), strength=strength
        ),
    }[projection]()
    texts = means @ moved.T
    return texts / texts.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("projection", ["none", "orthogonal", "calibrated"])
def test_the_head_has_the_texts_of_the_files(tmp_path: Path, projection: str) -> None:
    backbone = DrawnBackbone()
    recipe = ZeroShot(**files(tmp_path), projection=projection, strength=20.0, scale=7.0)
    recipe.check(backbone.stage.parts, backbone.config)
    head: Any = recipe.fit(backbone, 0)
    texts = expected(tmp_path, projection, 20.0)
    torch.testing.assert_close(head.texts.detach(), texts.float())
    features = backbone.features("val")
    cosines = torch.cosine_similarity(features.double()[:, None], texts[None], dim=2)
    torch.testing.assert_close(head(features).double(), 7 * cosines, atol=1e-5, rtol=0)


def test_nothing_is_trained_and_no_label_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No first head is fitted, whose place the texts take, and no work is estimated."""
    backbone = DrawnBackbone()
    monkeypatch.setattr(last_layer, "erm_head", lambda *_: pytest.fail("a head was fitted"))
    monkeypatch.setattr(last_layer, "Frozen", lambda stage, config: backbone)
    monkeypatch.setattr(last_layer, "refitted", lambda run, frozen, head, seconds: head)
    recipe, run = ZeroShot(**files(tmp_path)), Run(backbone.config, tmp_path)
    run.built[configs.identity(recipe.stages(run)[0])] = backbone.stage.parts
    trained: Any = recipe.train(run)
    torch.testing.assert_close(trained.texts, expected(tmp_path, "none", 0).float())
    assert recipe.work(run, Sizes((30,) * 4, val=90, test=30)) == []
    assert (recipe.reads, recipe.infers, recipe.shareable(run)) == ((), (), [])


def without(role: str) -> str:
    return "".join(line for line in TABLE.splitlines(True) if not line.startswith(f"{role},"))


@pytest.mark.parametrize(
    ("projection", "table", "size", "message"),
    [
        ("orthogonal", without("spurious"), SIZE, "=orthogonal needs rows of role spurious; "),
        ("calibrated", without("spurious"), SIZE, "=calibrated needs rows of role spurious; "),
        ("calibrated", without("candidate"), SIZE, "needs two rows of role candidate with the"),
        ("calibrated", TABLE.replace("bird,water,", "bird,land,"), SIZE, "and different attrib"),
        ("none", without("class"), SIZE, "needs a row of role class for class 'landbird'"),
        ("none", TABLE, SIZE + 1, rf"the features of the model, {SIZE}; got {SIZE + 1}: use the"),
    ],
)
def test_missing_roles_and_wrong_sizes(
    tmp_path: Path, projection: str, table: str, size: int, message: str
) -> None:
    backbone = DrawnBackbone()
    recipe = ZeroShot(**files(tmp_path, size, table), projection=projection)
    with pytest.raises(ValueError, match=message):
        recipe.check(backbone.stage.parts, backbone.config)
    if "needs" in message and projection != "none":
        ZeroShot(**files(tmp_path, size, table)).check(backbone.stage.parts, backbone.config)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"projection": "oblique"}, "recipe.projection must be one of none, orthogonal, calibr"),
        ({"strength": -1.0}, "recipe.strength must be at least 0 for zero_shot; got -1.0"),
        ({"scale": 0.0}, "recipe.scale must be positive for zero_shot; got 0.0"),
        ({"backbone": "trained"}, "must be pretrained or the folder of a finished run"),
    ],
)
def test_options_that_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ZeroShot(prompts="p.csv", embeddings="e.npy", **option)


@pytest.mark.slow
def test_a_run_from_files_to_the_table_of_methods(tmp_path: Path, capsys: Any) -> None:
    """Trained, evaluated from its checkpoint without the files, and compared; no label is read."""
    given = files(tmp_path, size=1000)
    options = [f"recipe.{name}={value}" for name, value in given.items()]
    options += ["recipe.name=zero_shot", "recipe.projection=calibrated", "model.embedding=true"]
    config = configs.load("drawn_birds", overrides(tmp_path, *options, "select=average"))
    run = train(config)
    report = json.loads((run / "report.json").read_text())
    assert report["strategy"]["group_labels"] == "none"
    assert not (run / "stages").exists()
    state = torch.load(run / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    assert state["model.head.texts"].shape == (2, 1000)
    assert state["model.head.scale"] == 100
    saved = read(run / "predictions" / "test.csv").logits
    assert float(saved.abs().max()) <= 100
    for file in given.values():
        Path(file).unlink()
    parts = build(configs.read(configs.evaluated(run)))
    parts.module.load_state_dict(state)
    again = predict_split(parts, "test", progress=False).logits
    torch.testing.assert_close(again, saved, atol=1e-3, rtol=0)
    assert main(["evaluate", str(run), "progress=false", "measures=none"]) == 0
    capsys.readouterr()
    assert main(["compare", str(run.parent)]) == 0
    assert "zero_shot" in capsys.readouterr().out


def test_a_missing_file_is_named_before_anything_is_written(tmp_path: Path) -> None:
    given = files(tmp_path, size=96)
    Path(given["embeddings"]).unlink()
    options = [f"recipe.{name}={value}" for name, value in given.items()]
    config = configs.load("drawn_birds", overrides(tmp_path, "recipe.name=zero_shot", *options))
    with pytest.raises(ValueError, match=r"no file .*texts\.npy"):
        train(config)
    assert not list((tmp_path / "runs").glob("drawn_birds-*"))
