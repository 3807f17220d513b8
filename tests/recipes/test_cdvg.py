"""CDvG: what its stages hand on, that it resumes, and what it refuses."""

import re
from pathlib import Path

import cv2
import pytest
import torch
from safetensors.torch import load_file

from debias import components
from debias import config as configs
from debias.commands.train import train
from debias.evaluation import translations
from debias.evaluation.saved import finished
from debias.runs.run import Run
from tests.commands.conftest import overrides
from tests.recipes.finished_runs import (
    assert_evaluation_agrees,
    assert_same_predictions,
    interrupted,
)

SMALL = (
    "recipe.name=cdvg", "strategy.name=view_contrast", "strategy.size=8", "epochs=1",
    "preprocessing.size=16", "measures=none",
    "recipe.translator={epochs: 2, strategy: {width: 2, blocks: 1, critic_turns: 2}}",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return train(configs.load("drawn_birds", overrides(tmp_path_factory.mktemp("run"), *SMALL)))


def state_of(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_the_last_stage_draws_its_views_by_the_trained_translator(run):
    written = load_file(run / "translator.safetensors")
    first = state_of(run / "stages" / "translator" / "checkpoints" / "last.ckpt")
    last = state_of(run / "checkpoints" / "epoch=000.ckpt")
    assert {name for name in first if name.startswith("strategy.translator.")} == {
        f"strategy.translator.{name}" for name in written
    }
    for name, value in written.items():
        assert torch.equal(value, first[f"strategy.translator.{name}"])
        assert torch.equal(value, last[f"augment.translator.{name}"])
    config = configs.load(str(run / configs.LAST_STAGE))
    assert config.augment == {
        "name": "translated",
        "translator": str(run / "translator.safetensors"),
        "width": 2,
        "blocks": 1,
    }
    stage = configs.load(str(run / "stages" / "translator" / "stage.yaml"))
    assert stage.augment == {"name": "none"}
    optimizer = {"name": "adam", "lr": 1e-4, "betas": [0.5, 0.999]}
    assert stage.scheduler == {"name": "constant"}
    assert (stage.epochs, {**stage.optimizer, "betas": [*stage.optimizer["betas"]]}) == (
        2,
        optimizer,
    )


def test_pictures_have_a_row_per_class_and_a_column_per_translation(run):
    grid = cv2.cvtColor(cv2.imread(str(run / "translations.png")), cv2.COLOR_BGR2RGB)
    assert grid.shape == (2 * 16, 3 * 16, 3)
    parts = finished(run)
    rows = parts.examples.rows("val")
    for target in (0, 1):
        row = int(rows[parts.examples.target[rows] == target][0])
        batch = parts.one(row)
        images = [batch.image] + [
            translations.translated(
                parts.module.augment.translator, parts.module.augment.space, batch.image, each
            )
            for each in (torch.tensor([0]), torch.tensor([1]))
        ]
        expected = parts.module.augment.space.pixels(torch.cat(images)).permute(0, 2, 3, 1)
        shown = torch.from_numpy(grid[16 * target : 16 * target + 16]).unflatten(1, (3, 16))
        torch.testing.assert_close(shown.transpose(0, 1) / 255, expected, atol=0.6 / 255, rtol=0)


def test_an_interrupted_run_goes_on_and_a_moved_one_is_evaluated(run, tmp_path, capsys):
    halfway = interrupted(run, tmp_path, "translations.png", configs.LAST_STAGE)
    train(configs.read(halfway / "config.yaml"), resume=halfway)
    said = capsys.readouterr().err
    assert re.search(r"takes \d+% of translated validation images for their new class", said)
    for folder in (run, halfway):
        (folder / "translator.safetensors").rename(folder / "moved")
    try:
        assert_same_predictions(halfway, run)
        assert_evaluation_agrees(halfway)
    finally:
        (run / "moved").rename(run / "translator.safetensors")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("strategy={name: erm}", r"must be one of .*set strategy\.name=view_contrast"),
        ("augment.name=random_convolution", r"cdvg sets augment\.name itself"),
        ("recipe.translator.epoch=1", "epoch"),
        (
            "recipe.translator.strategy.name=erm",
            r"strategy\.name must be one of translation; .*leave it out",
        ),
    ],
)
def test_refuses_before_the_first_stage(tmp_path, override, message):
    config = configs.load("drawn_birds", overrides(tmp_path, *SMALL, override))
    run = Run(config, tmp_path)
    with pytest.raises(ValueError, match=message):
        run.check(components.construct("recipe", config.recipe, {}))
