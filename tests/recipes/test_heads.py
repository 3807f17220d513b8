"""Recipes on frozen features: one feature file serves all, only the head moves, and the rows are
the right ones.
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.__main__ import main
from debias.build import build
from debias.commands.train import train
from debias.data.examples import SPLITS, Examples
from debias.data.orders import portion, seeded_generator
from debias.data.partition import write_inferred
from debias.evaluation.predictions import predict_split
from debias.group_inference import influence
from debias.heads.linear import Rows, fresh_heads
from debias.recipes.class_balanced_last_layer import ClassBalancedLastLayer
from debias.recipes.dfr import DFR
from debias.recipes.dpe import DPE
from debias.recipes.exmap import ExMap
from debias.recipes.frozen import Frozen
from debias.recipes.gsr import GSR
from debias.recipes.last_layer import erm_head, portion_of
from debias.recipes.self import SELF
from debias.recipes.shortcut_probe import ShortcutProbe
from debias.recipes.ssa import SSA
from debias.reports.predictions import read
from debias.runs.description import labels_read
from debias.runs.run import Run, Stage
from tests.commands.conftest import overrides
from tests.fakes import birds

RECIPES = {
    "dfr": ["recipe.subsamples=2"],
    "dfr_train": ["recipe.name=dfr", "recipe.split=train", "recipe.subsamples=2"],
    "afr": ["recipe.gammas=[4.0]", "recipe.penalties=[0.0,0.1]", "recipe.steps=20"],
    "crt": ["recipe.steps=20"],
    "crt_class": [
        "recipe.name=crt",
        "recipe.balance=class",
        "recipe.weighted=true",
        "recipe.steps=20",
    ],
    "class_balanced_last_layer": ["recipe.epochs=5"],
    "self": ["recipe.counts=[10]"],
    "crm": ["recipe.steps=5"],
    "gsr": ["recipe.rounds=3"],
    "dpe": ["recipe.members=2", "recipe.epochs=2"],
}
#: Tensors of the heads that are not linear.
HEADS = {"crm": ("weights", "offsets"), "dpe": ("prototypes", "scales")}
LABELS = {"dfr": "val", "dfr_train": "train+val", "crt": "train+val", "crm": "train+val"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("heads")


@pytest.fixture(scope="module")
def backbone(folder) -> Path:
    return train(configs.load("drawn_birds", overrides(folder, "data.val=160", "epochs=1")))


def head_of(folder: Path, backbone: str | Path, name: str, *more: str) -> Path:
    options = [
        f"recipe.name={name}",
        f"recipe.backbone={backbone}",
        *RECIPES[name],
        "data.val=160",
        *more,
    ]
    return train(configs.load("drawn_birds", overrides(folder, *options)))


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_only_the_head_moves(folder, backbone, name):
    run = head_of(folder, backbone, name)
    before = torch.load(backbone / "checkpoints" / "epoch=000.ckpt", weights_only=True)[
        "state_dict"
    ]
    after = torch.load(run / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    moved = {key for key in before if key not in after or not torch.equal(before[key], after[key])}
    assert moved == {"model.head.weight", "model.head.bias"}
    heads = {key for key in after if key.startswith("model.head.")}
    assert heads == ({f"model.head.{key}" for key in HEADS[name]} if name in HEADS else moved)
    report = json.loads((run / "report.json").read_text())
    assert report["strategy"]["group_labels"] == LABELS.get(name, "val")
    assert not (run / "stages").exists()
    # the features of three splits, extracted by whoever came first
    assert len(list((folder / "runs" / "cache" / "features").iterdir())) == 3


@pytest.mark.slow
def test_predictions_are_those_of_the_model_that_was_saved(folder, backbone, capsys):
    """The saved weights on decoded pictures, in evaluation mode, say what frozen features gave."""
    run = head_of(folder, backbone, "crt", "seed=1")
    saved = read(run / "predictions" / "test.csv")
    config = configs.read(configs.evaluated(run))
    parts = Run(config, run).build(config)
    state = torch.load(run / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    parts.module.load_state_dict(state)
    anew = predict_split(parts, "test", progress=False)
    assert anew.paths == saved.paths
    assert torch.allclose(anew.logits, saved.logits, atol=1e-5)
    assert main(["evaluate", str(run), "progress=false", "measures=none"]) == 0


@pytest.mark.slow
def test_inferred_groups_take_the_place_of_bias_labels(folder, backbone):
    """If they are the true ones, the head is the same; if they are others, it is another."""
    examples = build(configs.load("drawn_birds", overrides(folder, "data.val=160"))).examples
    heads = [weights_of(head_of(folder, backbone, "dfr", "seed=3"))]
    others = (torch.arange(len(examples.bias)) % 4 == 0).long()
    for name, values in {"true": examples.bias, "others": others}.items():
        write_inferred(folder / f"{name}.csv", examples, values)
        given = [f"groups.file={folder / name}.csv", "groups.splits=[val]"]
        run = head_of(folder, backbone, "dfr", "seed=3", *given)
        heads.append(weights_of(run))
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    history = json.loads((run / "report.json").read_text())["history"]
    assert "worst_group" in history[0]["val"]


def weights_of(run: Path) -> torch.Tensor:
    state = torch.load(run / "checkpoints" / "epoch=000.ckpt", weights_only=True)["state_dict"]
    return state["model.head.weight"]


@pytest.mark.parametrize(("splits", "labels"), [("train", "val"), ("val", "none")])
def test_labels_that_inferred_groups_replace_are_not_read(splits, labels):
    """DFR on validation reads its groups in the fit and in the choice of C and epoch."""
    given = ["recipe.name=dfr", "groups.file=own.csv", f"groups.splits=[{splits}]"]
    config = configs.load("drawn_birds", [*given, "recipe.backbone=pretrained"])
    assert labels_read(config, DFR(backbone="pretrained")) == labels


@pytest.mark.slow
def test_features_are_of_the_pictures_as_they_are(folder, backbone, tmp_path):
    """One validation picture is drawn again under its old name: its features change, no other's."""
    shutil.copytree(folder / "birds", tmp_path / "birds")
    config = configs.load("drawn_birds", overrides(tmp_path, "data.val=160"))
    parts = build(config)
    before = Frozen(Stage(parts, tmp_path), config).features("val")
    rows = parts.examples.rows("val")
    picture, other = (parts.examples.root / parts.examples.images[rows[place]] for place in (3, 4))
    picture.write_bytes(other.read_bytes())
    os.utime(picture, ns=(1, 1))
    again = Frozen(Stage(build(config), tmp_path), config).features("val")
    assert (before != again).any(dim=1).nonzero().flatten().tolist() == [3]
    assert torch.equal(again[3], again[4])


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", RECIPES)
def test_on_a_gpu(folder, backbone, name, tmp_path):
    """Features come from the GPU, heads are fitted in the main memory: the run ends as on a CPU, to
    a point or two.
    """
    on_cpu = head_of(folder, backbone, name, "accelerator=cpu")
    there = head_of(folder, backbone, name, "accelerator=cuda", f"cache_dir={tmp_path}")
    logits = [read(run / "predictions" / "test.csv").logits for run in (on_cpu, there)]
    torch.testing.assert_close(logits[0], logits[1], atol=0.05, rtol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crt", "crt_class"])
def test_crt_starts_from_a_head_of_its_own(folder, backbone, name):
    """At a learning rate of next to nothing it ends with what its seed draws, not the old head."""
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
        portion(torch.arange(6), seed, share=0.5).draw(torch.Generator()).sort().values.tolist()
        for seed in (0, 0)
    ]
    assert first[0] == first[1]
    assert len(set(first[0])) == 3
    drawn = {
        tuple(
            portion(torch.arange(6), seed, share=0.5).draw(torch.Generator()).sort().values.tolist()
        )
        for seed in range(9)
    }
    assert len(drawn) > 1
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"got sampler\.share={share}"):
            portion(torch.arange(6), 0, share=share)
    with pytest.raises(ValueError, match=r"sampler\.share=0\.01 selects none of 6 training images"):
        portion(torch.arange(6), 0, share=0.01)


@pytest.mark.slow
def test_what_is_refused(folder, backbone, tmp_path):
    for override, message in {
        "recipe.split=test": "recipe.split must be one of val, train",
        f"recipe.backbone={tmp_path}": "not a run folder",
        "model.name=resnet10t": "has model.name=test_resnet; got model.name=resnet10t",
    }.items():
        with pytest.raises(ValueError, match=message):
            head_of(folder, backbone, "dfr", override)
    for name, override, message in (
        ("afr", "recipe.share=1.0", r"share must lie in \(0, 1\)"),
        ("afr", "recipe.gammas=[]", "recipe.gammas and recipe.penalties must each hold"),
        ("afr", "recipe.steps=0", "recipe.steps must be at least 1"),
        ("afr", "recipe.learning_rate=-1", "recipe.learning_rate must be positive"),
        ("crt", "recipe.learning_rate=0", "recipe.learning_rate must be positive"),
        (
            "class_balanced_last_layer",
            "recipe.learning_rate=0",
            "recipe.learning_rate must be positive",
        ),
        ("crt", "recipe.steps=0", "recipe.steps must be at least 1"),
        ("dfr", "recipe.subsamples=0", "recipe.subsamples must be at least 1"),
        (
            "class_balanced_last_layer",
            "recipe.batch_size=0",
            "recipe.batch_size must be at least 1",
        ),
        ("self", "recipe.counts=[0]", "counts must be >= 1"),
        ("gsr", "recipe.share=1.0", r"share must lie in \(0, 1\)"),
        ("gsr", "recipe.penalty=0", "recipe.penalty must be positive"),
        ("gsr", "recipe.rounds=0", "recipe.rounds must be at least 1"),
        ("crm", "recipe.weight_decays=[-1.0]", "recipe.weight_decays must hold at least one"),
        ("crm", "recipe.steps=0", "recipe.steps must be at least 1 for CRM"),
        ("dpe", "recipe.balance=bias", "recipe.balance must be one of class, group"),
        ("dpe", "recipe.keep=first", "recipe.keep must be one of best, last"),
        ("dpe", "recipe.members=0", "recipe.members must be at least 1"),
        ("dpe", "recipe.diversity=-1", "diversity must be at least 0"),
        (
            "self",
            "recipe.early_epochs=[] recipe.disagreement=early",
            "needs at least one number in recipe.early_epochs; got none",
        ),
        (
            "dfr",
            "strategy.name=focal",
            "got strategy.name=focal: leave it out, or set recipe.base.strategy",
        ),
        ("afr", "sampler.name=class_balanced", "leave it out, or set recipe.base.sampler"),
        ("crt", "augment.name=mixup", "leave it out, or set recipe.base.augment"),
        (
            "dfr",
            "recipe.base.strategy.name=disentangled",
            "recipe.base.strategy.name=disentangled computes its outputs in another way",
        ),
        ("crt", "recipe.base.strategy.name=domain_independent", "in another way"),
        ("dfr", "players.model.lr=1", r"got players of model.*, or set recipe\.base\.players"),
        ("afr", "recipe.base.groups.file=a.csv", r"recipe\.base\.groups has no effect"),
        ("dfr", "recipe.base.select=average", r"recipe\.base\.select is not allowed"),
    ):
        with pytest.raises(ValueError, match=message):
            head_of(folder, "trained", name, *override.split())
    with pytest.raises(
        ValueError, match=r"recipe\.share=0\.8 needs its own sampler.*got recipe\.base\.sampler"
    ):
        head_of(folder, "trained", "afr", "recipe.base.sampler.name=class_balanced")


@pytest.mark.filterwarnings("ignore:.*no training image in:UserWarning")
@pytest.mark.parametrize(
    ("split", "name"), [("val", "dfr"), ("train", "dfr_train"), ("train", "crt"), ("train", "crm")]
)
def test_a_split_without_bias_labels_is_told_before_anything_is_trained(tmp_path, split, name):
    examples = birds(tmp_path)
    unlabelled = {"val": 1, "train": 0}[split]
    lines = ["path,target,bias,split"]
    for row, image in enumerate(examples.images):
        place = int(examples.split[row])
        bias = "" if place == unlabelled else examples.bias[row].item()
        lines.append(f"{image},{examples.target[row]},{bias},{SPLITS[place]}")
    (tmp_path / "birds" / "own.csv").write_text("\n".join([*lines, ""]))
    (tmp_path / "own.yaml").write_text("extends: drawn_birds\ndata: {name: table}\n")
    options = [f"recipe.name={name}", *RECIPES[name], "select=average", "preprocessing.size=32"]
    data = [f"data.csv={tmp_path}/birds/own.csv", f"out={tmp_path}/runs", "model.name=test_resnet"]
    with pytest.raises(
        ValueError, match=f"at least 1 image of known bias in {split}.*fewer of 0, 1"
    ):
        train(configs.load(str(tmp_path / "own.yaml"), [*options, *data]))
    assert not list((tmp_path / "runs").glob("table-*"))


def copied(examples: Examples) -> Examples:
    return replace(examples, target=examples.target.clone(), bias=examples.bias.clone())


def test_a_class_of_one_image_cannot_be_halved(tmp_path):
    config = configs.load("drawn_birds", overrides(tmp_path))
    parts, by_class = build(config), replace(config, select="worst_class")
    rows, few = parts.examples.rows("val"), copied(parts.examples)
    few.target[rows] = (torch.arange(len(rows)) > 0).long()
    for recipe in (ClassBalancedLastLayer(), SELF(), ExMap(layer="layer1")):
        recipe.check(parts, config)
        with pytest.raises(
            ValueError,
            match="at least 2 images in val, which this recipe halves; got fewer of landbird",
        ):
            recipe.check(parts._replace(examples=few), config)
    DPE().check(parts._replace(examples=few), config)
    few.target[rows] = 1
    with pytest.raises(ValueError, match=r"at least 1 image in val.* fits the head; got fewer"):
        DPE().check(parts._replace(examples=few), config)
    few.target[rows] = parts.examples.target[rows]
    few.bias[rows] = (torch.arange(len(rows)) > 0).long()
    for by_group in (DFR(), GSR(), SELF(), ShortcutProbe()):
        by_group.check(parts, config)
        with pytest.raises(
            ValueError,
            match=r"halves val within groups.*got one of landbird-land",
        ):
            by_group.check(parts._replace(examples=few), config)
    DFR(split="train").check(parts._replace(examples=few), config)
    for recipe in (SELF(), ShortcutProbe()):  # they then halve classes
        recipe.check(parts._replace(examples=few), by_class)
    with pytest.raises(ValueError, match=r"halves val within groups.*got one of landbird-land"):
        SSA().check(parts._replace(examples=few), config)


def test_gsr_refuses_a_hessian_that_does_not_fit_before_training(tmp_path, monkeypatch):
    """For two classes, the Hessian has a row for each image that is held out for the head."""
    config = configs.load("drawn_birds", overrides(tmp_path))
    parts = build(config)
    held_out = len(parts.examples.rows("train")) - round(0.9 * len(parts.examples.rows("train")))
    monkeypatch.setattr(influence, "MOST_BYTES", 8 * held_out**2)
    GSR().check(parts, config)
    monkeypatch.setattr(influence, "MOST_BYTES", 8 * held_out**2 - 1)
    with pytest.raises(ValueError, match=f"of {held_out} parameters .*: raise recipe.share=0.9"):
        GSR().check(parts, config)


def test_a_head_has_all_classes_of_the_data():
    """Rows of two of three classes."""
    rows = Rows(torch.randn(6, 4), torch.tensor([0, 1] * 3), torch.zeros(6, dtype=torch.long))
    assert erm_head(rows, 3, seed=0).weight.shape == (3, 4)
