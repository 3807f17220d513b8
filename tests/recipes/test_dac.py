"""Decompose-and-Compose: masks, what each stage leaves behind, the new head, and refusals."""

import csv
import json
import shutil
import sys

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from debias import components
from debias import config as configs
from debias.commands.train import train
from debias.group_inference.decomposition import elbows, most_attended
from debias.reports.predictions import read
from tests.commands.conftest import overrides
from tests.recipes.finished_runs import assert_evaluation_agrees, assert_keeps_masks, first_of

pytest.importorskip("captum")
pytest.importorskip("kneed")
from debias.evaluation.attention import attention_maps
from debias.models.attribution import grad_cam
from debias.recipes.dac import QUANTILES, masked_losses, renew
from debias.recipes.last_layer import portion_of
from debias.recipes.map_masks import mask_maker
from debias.runs.run import Run

OPTIONS = (
    "recipe.name=dac",
    "recipe.quantile=0.6",
    "recipe.alpha=2",
    "recipe.first.epochs=1",
    "recipe.layer=layer3",
    "preprocessing.size=64",
    "epochs=2",
)


def config_of(folder, *more):
    return configs.load("drawn_birds", overrides(folder, *OPTIONS, *more))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(config_of(tmp_path_factory.mktemp("dac")))


@pytest.fixture(scope="module")
def first(run):
    return first_of(run)


def weights(path) -> dict[str, torch.Tensor]:
    return torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_masks_by_hand():
    """Maps of 2 x 2 on pictures of their size: half of one is left out, a quarter of the other."""
    maps = torch.tensor(
        [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 1.0], [2.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]]
    )
    shares = {7: 0.5, 3: 0.25, 5: 0.8}
    make = mask_maker(
        dict(zip(shares, maps, strict=True)),
        lambda row, enlarged: most_attended(enlarged[None], shares[row])[0],
    )
    picture = np.zeros((2, 2, 3), np.uint8)
    assert make(7, picture).mask.tolist() == [[0, 0], [255, 255]]
    assert make(3, picture).mask.tolist() == [[255, 0], [255, 255]]
    assert make(7, np.zeros((30, 20, 3), np.uint8)).mask.shape == (30, 20)
    empty = make(5, picture)
    assert not empty.found
    assert empty.mask.min() == 255


def test_curves_are_those_of_single_pictures(first):
    """Each row by itself, read and normalised here, its map enlarged and cut at each quantile."""
    rows = first.examples.rows("train")[::17]
    maps = attention_maps(first, rows, layer="layer3", progress=False)
    found = masked_losses(first, rows, maps, progress=False)
    model = first.module.model.eval()
    mean = first.data.mean.view(3, 1, 1)
    std = first.data.std.view(3, 1, 1)
    for row, curve in zip(rows.tolist(), found, strict=True):
        pixels = cv2.imread(str(first.examples.root / first.examples.images[row]))[..., ::-1].copy()
        image = ((torch.from_numpy(pixels).permute(2, 0, 1) / 255 - mean) / std)[None]
        target = first.examples.target[row : row + 1]
        explained = grad_cam(model, image, target=target, layer="layer3")
        for quantile, loss in zip(QUANTILES, curve.tolist(), strict=True):
            with torch.no_grad():
                logits = model(image * most_attended(explained, quantile)[:, None]).logits
            # a place may lie on the bound, and fall to either side of it by rounding
            assert loss == pytest.approx(F.cross_entropy(logits, target).item(), abs=2e-3)


def test_every_training_picture_has_the_mask_of_its_elbow(run, first):
    rows = first.examples.rows("train")
    maps = attention_maps(first, rows, layer="layer3", progress=False)
    shares = elbows(
        masked_losses(first, rows, maps, progress=False),
        torch.tensor(QUANTILES, dtype=torch.float64),
    )
    assert len(shares.unique()) > 1
    for row, found, share in zip(rows.tolist(), maps, shares.tolist(), strict=True):
        path = run / "masks" / first.examples.images[row].replace(".jpg", ".png")
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0
        enlarged = F.interpolate(found[None, None], (64, 64), mode="bilinear")[0]
        assert (mask == most_attended(enlarged, share)[0].numpy()).mean() > 0.98
        assert mask.mean() <= 1 - share + 0.02 or mask.all()
    assert len(list((run / "masks").rglob("*.png"))) == len(rows)


def test_groups_tell_the_low_losses_of_the_first_stage(run):
    found = read(run / "stages" / "first" / "predictions" / "train.csv")
    losses = F.cross_entropy(found.logits.double(), found.target, reduction="none").numpy()
    with open(run / "groups.csv", newline="", encoding="utf-8") as file:
        inferred = {line["path"]: line["inferred"] for line in csv.DictReader(file)}
    expected = np.where(losses <= np.quantile(losses, 0.6), "0", "1")
    assert [inferred[path] for path in found.paths] == expected.tolist()
    assert len(inferred) == 80
    assert (expected == "0").sum() == 48


def test_the_quantile_is_that_of_the_losses_that_are_drawn(tmp_path):
    """The first stage sees the half that the sampler keeps; 0.6 is a quantile of its losses."""
    run = train(config_of(tmp_path, "sampler.name=portion", "sampler.share=0.5"))
    stage = configs.read(run / "stages" / "first" / "stage.yaml")
    assert stage.sampler == {"name": "portion", "share": 0.5}
    found = read(run / "stages" / "first" / "predictions" / "train.csv")
    losses = F.cross_entropy(found.logits.double(), found.target, reduction="none").numpy()
    seen = portion_of(80, stage, 0.5).numpy()
    expected = np.where(losses <= np.quantile(losses[seen], 0.6), "0", "1")
    with open(run / "groups.csv", newline="", encoding="utf-8") as file:
        inferred = {line["path"]: line["inferred"] for line in csv.DictReader(file)}
    assert [inferred[path] for path in found.paths] == expected.tolist()
    assert (expected[seen] == "0").sum() == 24


def test_the_last_stage_reads_masks_and_losses(run):
    last = configs.read(run / configs.LAST_STAGE)
    assert last.strategy == {"name": "decompose_compose", "alpha": 2.0, "invert": False}
    assert last.data["masks"] == str(run / "masks")
    assert last.groups.splits == ["train"]
    parts = Run(last, run).build(last)
    batch = parts.data.on_after_batch_transfer(next(iter(parts.data.train_dataloader())), 0)
    assert {0, 1} == set(batch.bias.tolist())
    assert 0.15 < batch.mask.mean() < 0.8
    assert len(json.loads((run / "report.json").read_text())["history"]) == 2


def test_only_the_head_is_trained_from_a_new_one(run, tmp_path):
    """The backbone is the first stage's to the last bit, averages included; with a rate of 0 the
    head is as drawn.
    """
    still = train(config_of(tmp_path, "optimizer.lr=0", "recipe.first.optimizer.lr=3e-3"))
    drawn = torch.nn.Linear(*weights(still)["model.head.weight"].shape[::-1])
    renew(drawn, seed=0)
    for folder in (run, still):
        found, before = weights(folder), weights(folder / "stages" / "first")
        names = [name for name in before if name.startswith("model.backbone")]
        assert names
        assert all(torch.equal(found[name], before[name]) for name in names)
        assert not torch.equal(found["model.head.weight"], before["model.head.weight"])
        as_drawn = torch.equal(found["model.head.weight"], drawn.weight)
        assert as_drawn == (folder is still)
    assert weights(still)["model.head.bias"].eq(0).all()


def test_a_new_head_is_xaviers_and_follows_from_the_seed():
    """Uniform within sqrt(6 / (D + C)), which 3,000 draws nearly reach."""
    head = torch.nn.Linear(1000, 3)
    renew(head, seed=0)
    bound, first = (6 / 1003) ** 0.5, head.weight.detach().clone()
    assert 0.99 * bound < first.abs().max() <= bound
    assert abs(first.std().item() - bound / 3**0.5) < 0.03 * bound
    assert head.bias.eq(0).all()
    renew(head, seed=1)
    assert not torch.equal(head.weight, first)
    torch.rand(5)
    renew(head, seed=0)
    assert torch.equal(head.weight, first)


def test_the_report_is_of_the_whole(run):
    report = json.loads((run / "report.json").read_text())
    assert run.name.startswith("drawn_birds-dac-seed0-")
    assert report["strategy"]["method"] == "dac"
    assert report["strategy"]["group_labels"] == "val"  # that is the rule's
    assert set(report["seconds"]["stages"]) == {"first"}


def test_evaluation_builds_the_last_stage(run):
    assert_evaluation_agrees(run)


def test_an_interrupted_run_keeps_what_it_has(run, tmp_path):
    assert_keeps_masks(run, tmp_path, "groups.csv")


def test_all_losses_may_count_as_low(run, tmp_path):
    """With a quantile of 1 every sample is chosen: one value is inferred, that of the chosen."""
    again = tmp_path / "again"
    shutil.copytree(run / "stages", again / "stages")
    shutil.copytree(run / "masks", again / "masks")
    config = configs.changed(
        configs.read(run / "config.yaml"), {"recipe": {"quantile": 1.0}, "epochs": 1}
    )
    trained = components.construct("recipe", config.recipe, {}).train(Run(config, again))
    history = trained.recorder.history[0]["train"]
    assert history["masked"] > 0
    assert history["combined"] > 0
    batch = next(iter(trained.parts.data.train_dataloader()))
    assert batch.bias.eq(0).all()


def test_without_kneed_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kneed", None)
    with pytest.raises(
        ValueError, match=r"needs kneed: pip install \"debias-vision\[attribution\]\""
    ):
        train(config_of(tmp_path))
    assert not list((tmp_path / "runs").glob("drawn_birds-*"))


def test_mistakes_are_told_before_anything_is_trained(tmp_path):
    cases = {
        "recipe.alpha=-1": "recipe.alpha must be at least 0; got -1",
        "recipe.quantile=0": r"recipe.quantile must lie in \(0, 1\]; got 0",
        "recipe.layer=nowhere": "nowhere",
        "recipe.first.epoch=1": "unknown key 'epoch'",
        "strategy.name=focal": "got strategy.name=focal: leave it out",
        "augment.name=mixup": "got augment.name=mixup: leave it out",
        "sampler.name=group_balanced": "got sampler.name=group_balanced. Name shuffled",
        "sampler.name=upweighted sampler.copies=2": "labels or groups; got sampler.name=upweighted",
        "batch_size=1": "batch_size must be at least 2, .*; got 1",
        "optimizer.rate=1": "unknown option optimizer.rate",
        "recipe.layer=layer4 preprocessing.size=32": (
            "images of 32 x 32 pixels give a Grad-CAM map of a single position"
        ),
        "model.projection=mlp": r"which recipe\.name=dac needs: use a Class",
        "data.masks=nowhere": "no folder of masks nowhere",
    }
    for override, message in cases.items():
        with pytest.raises(ValueError, match=message):
            train(config_of(tmp_path, *override.split()))
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("drawn_birds-*"))
