"""Recipes on frozen features: one feature file serves all, only the head moves, and the rows are the right ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.__main__ import main
from debias.commands.train import train
from debias.data.orders import portion, seeded_generator
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import portion_of
from debias.recipes.run import Run, Stage
from debias.reports.predictions import read
from debias.training.heads import fresh_heads
from tests.commands.conftest import overrides

RECIPES = {
    "dfr": ["recipe.subsamples=2"],
    "dfr_train": ["recipe.name=dfr", "recipe.split=train", "recipe.subsamples=2"],
    "afr": ["recipe.gammas=[4.0]", "recipe.penalties=[0.0,0.1]", "recipe.steps=20"],
    "crt": ["recipe.steps=20"],
    "crt_class": ["recipe.name=crt", "recipe.balance=class", "recipe.weighted=true", "recipe.steps=20"],
    "class_balanced_last_layer": ["recipe.epochs=5"],
    "self": ["recipe.counts=[10]"],
}
LABELS = {"dfr": "val", "dfr_train": "train+val", "crt": "train+val"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("heads")


@pytest.fixture(scope="module")
def backbone(folder) -> Path:
    return train(configs.load("drawn_birds/erm", overrides(folder, "data.val=160", "epochs=1")))


def head_of(folder: Path, backbone: str | Path, name: str, *more: str) -> Path:
    options = [f"recipe.name={name}", f"recipe.backbone={backbone}", *RECIPES[name], "data.val=160", *more]
    return train(configs.load("drawn_birds/erm", overrides(folder, *options)))


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_only_the_head_moves(folder, backbone, name):
    run = head_of(folder, backbone, name)
    before = torch.load(backbone / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    after = torch.load(run / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"model.head.weight", "model.head.bias"}
    report = json.loads((run / "report.json").read_text())
    assert report["strategy"]["group_labels"] == LABELS.get(name, "val")
    assert not (run / "stages").exists()
    # the features of three splits, extracted by whoever came first
    assert len(list((folder / "runs" / "cache" / "features").iterdir())) == 3


@pytest.mark.slow
def test_predictions_are_those_of_the_model_that_was_saved(folder, backbone, capsys):
    """Predicting anew from the saved weights gives what the frozen features gave, to rounding."""
    run = head_of(folder, backbone, "crt", "seed=1")
    saved = read(run / "predictions" / "test.csv")
    config = configs.read(configs.evaluated(run))
    parts = Run(config, run).build(config)
    state = torch.load(run / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    parts.module.load_state_dict(state)
    features = Frozen(Stage(parts, run), config).features("test")
    assert torch.allclose(parts.module.model.head(features), saved.logits, atol=1e-5)
    assert main(["evaluate", str(run), "progress=false", "measures=none"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crt", "crt_class"])
def test_crt_starts_from_a_head_of_its_own(folder, backbone, name):
    """At a learning rate of next to nothing it ends with what its seed draws, not with the backbone's head."""
    run = head_of(folder, backbone, name, "recipe.learning_rate=1e-12", "recipe.steps=1", "seed=3")
    state = torch.load(run / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    size = state["model.head.weight"].shape[1]
    drawn = fresh_heads(1, classes=2, size=size, generator=seeded_generator(3))
    torch.testing.assert_close(state["model.head.weight"], drawn.weights[0])
    torch.testing.assert_close(state["model.head.bias"], drawn.biases[0])


@pytest.mark.slow
def test_the_held_out_share_is_not_trained_on(folder):
    """AFR trains its backbone on 80 % of the 80 training rows and fits the head on the other 16."""
    run = head_of(folder, "trained", "afr", "epochs=1")
    stage = configs.read(run / "stages" / "backbone" / "stage.yaml")
    assert stage.sampler == {"name": "portion", "share": 0.8}
    seen = portion_of(80, stage, 0.8)
    order = Run(stage, run).build(stage).data.order.draw(torch.Generator().manual_seed(5))
    assert sorted(order.tolist()) == seen.nonzero().flatten().tolist()
    assert int(seen.sum()) == 64


def test_portion_by_hand():
    """Half of 6 rows: 3 different ones, the same for a seed, others for another."""
    first = [
        portion(torch.arange(6), seed, share=0.5).draw(torch.Generator()).sort().values.tolist() for seed in (0, 0)
    ]
    assert first[0] == first[1]
    assert len(set(first[0])) == 3
    drawn = {
        tuple(portion(torch.arange(6), seed, share=0.5).draw(torch.Generator()).sort().values.tolist())
        for seed in range(9)
    }
    assert len(drawn) > 1
    for share in (0.0, 1.5, 0.01):
        with pytest.raises(ValueError, match="share must lie"):
            portion(torch.arange(6), 0, share=share)


@pytest.mark.slow
def test_what_is_refused(folder, backbone, tmp_path):
    for override, message in {
        "recipe.split=test": "split must be val or train",
        f"recipe.backbone={tmp_path}": "not a run folder",
        "model.name=resnet10t": "another model",
    }.items():
        with pytest.raises(ValueError, match=message):
            head_of(folder, backbone, "dfr", override)
    with pytest.raises(ValueError, match="share must lie between"):
        head_of(folder, backbone, "afr", "recipe.share=1.0")
