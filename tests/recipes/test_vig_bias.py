"""ViG-Bias: masks, what the mixtures see, what the last stage trains on, what is refused."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from debias import components
from debias import config as configs
from debias.build import build
from debias.commands.train import train
from debias.evaluation.attention import attention_maps
from debias.group_inference.class_slices import class_slices
from debias.group_inference.slices import PredictedImages
from debias.models.checkpoints import load_weights
from debias.parts import Parts
from debias.recipes import vig_bias
from debias.reports.predictions import read
from debias.runs.description import labels_read
from debias.runs.run import Run
from tests.commands.conftest import overrides
from tests.recipes.drawn_backbone import DrawnBackbone

pytest.importorskip("captum")

OPTIONS = (
    "epochs=1",
    "recipe.first.epochs=3",
    "recipe.components=4",
    "recipe.slices=1",
    "recipe.least=1",
)


def config_of(folder: Path, *more: str) -> configs.Config:
    return configs.load("drawn_birds/vig_bias", overrides(folder, *OPTIONS, *more))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(config_of(tmp_path_factory.mktemp("vig_bias")))


def first_of(run: Path, *, trained: bool = True) -> Parts:
    """The first stage's objects, with its last or its initial weights."""
    folder = run / "stages" / "first"
    parts = build(configs.read(folder / "stage.yaml"))
    if trained:
        load_weights(parts.module, folder / "checkpoints" / "last.ckpt")
    return parts


def expected_features(run: Path, split: str, *, trained: bool = True, quantile: float = 0.7) -> Any:
    """Features of images of which all but the places of largest attribution is set to the mean."""
    first, encoder = first_of(run), first_of(run, trained=trained)
    found = read(run / "stages" / "first" / "predictions" / f"{split}.csv")
    classes = found.logits.argmax(dim=1)
    assert not torch.equal(classes, found.target)
    maps = attention_maps(first, found.index, classes=classes, layer="layer2", progress=False)
    encoder.ready()
    features = []
    for batch in encoder.batches(encoder.loader(found.index, whole=True), "", progress=False):
        done = sum(map(len, features))
        coarse = maps[done : done + len(batch.target), None]
        fine = F.interpolate(coarse, size=(32, 32), mode="bilinear").double().numpy()
        bounds = np.quantile(fine, quantile, axis=(1, 2, 3), keepdims=True)
        image = torch.where(torch.from_numpy(fine >= bounds), batch.image, 0.0)
        with torch.no_grad():
            features.append(encoder.module(image).features)
    return torch.cat(features).double().numpy()


def searched(
    run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str, seed: int = 0
) -> Any:
    """What a run with the finished first stage gives to :func:`class_slices`."""
    given: dict[str, Any] = {}

    class Found(Exception):
        pass

    def found(fitted: PredictedImages, judged: PredictedImages, **options: Any) -> Any:
        given.update(options, fitted=fitted, judged=judged)
        raise Found

    monkeypatch.setattr(vig_bias, "class_slices", found)
    changes = configs.load("drawn_birds/vig_bias", list(more)).recipe
    settings = {"recipe": changes, "seed": seed}
    config = configs.changed(configs.read(run / "config.yaml"), settings)
    shutil.copytree(run / "stages", folder / "run" / "stages")
    with pytest.raises(Found):
        components.construct("recipe", config.recipe, {}).train(Run(config, folder / "run"))
    return given


def test_slices_replace_the_labels_of_both_splits(run: Path) -> None:
    """No label of the bias is read, and the run's own strategy and sampler use the slices."""
    lines = list(csv.DictReader((run / "groups.csv").read_text().splitlines()))
    assert {line["split"] for line in lines} == {"train", "val"}
    assert {line["inferred"] for line in lines} == {"0", "1"}
    report = json.loads((run / "report.json").read_text())
    assert report["strategy"]["group_labels"] == "none"
    assert components.reads("recipe", "vig_bias") == ()
    last = configs.read(run / configs.LAST_STAGE)
    assert (last.groups.file, last.groups.splits) == (str(run / "groups.csv"), ["train", "val"])
    assert (last.strategy["name"], last.sampler["name"]) == ("group_dro", "group_balanced")
    first = configs.read(run / "stages" / "first" / "stage.yaml")
    assert (first.strategy["name"], first.sampler["name"], first.epochs) == ("erm", "shuffled", 3)
    built = Run(last, run).build(last)
    inferred = {line["path"]: int(line["inferred"]) for line in lines}
    images = [built.examples.images[row] for row in built.examples.rows("train").tolist()]
    assert built.seen("train").bias[built.examples.rows("train")].tolist() == [
        inferred[image] for image in images
    ]


def test_the_mixtures_see_masked_images_and_predictions(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features of the first model on what it looks at, and its probabilities of whole images."""
    given = searched(run, tmp_path, monkeypatch, seed=3)
    train_features, val_features = (expected_features(run, split) for split in ("train", "val"))
    both = np.concatenate([train_features, val_features])
    assert given["judged"].features == pytest.approx(both, abs=1e-4)
    assert given["fitted"].features == pytest.approx(val_features, abs=1e-4)
    predictions = [
        read(run / "stages" / "first" / "predictions" / f"{split}.csv")
        for split in ("train", "val")
    ]
    logits = torch.cat([found.logits for found in predictions]).double()
    assert given["judged"].probabilities == pytest.approx(logits.softmax(dim=1).numpy())
    target = torch.cat([found.target for found in predictions]).numpy()
    assert np.array_equal(given["judged"].target, target)
    assert given["counted"].tolist() == [True] * 80 + [False] * 40
    names = ("mixture", "components", "slices", "weight", "least")
    assert [given[name] for name in names] == ["facts", 8, 2, 25.0, 6]
    assert given["generator"].random() == np.random.default_rng(3).random()
    again = class_slices(
        given["fitted"], given["judged"], counted=given["counted"], components=4, slices=1,
        least=1, generator=np.random.default_rng(0),
    )  # fmt: skip
    lines = csv.DictReader((run / "groups.csv").read_text().splitlines())
    inferred = {line["path"]: int(line["inferred"]) for line in lines}
    paths = [path for found in predictions for path in found.paths]
    assert again.tolist() == [inferred[path] for path in paths]


def test_other_features_splits_and_masks(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps and predictions stay those of the first model, and the features are of other weights."""
    options = ("recipe.backbone=pretrained", "recipe.fitted=train", "recipe.quantile=0.4")
    options += ("recipe.mixture=domino", "recipe.weight=3")
    given = searched(run, tmp_path, monkeypatch, *options)
    expected = expected_features(run, "train", trained=False, quantile=0.4)
    assert given["fitted"].features == pytest.approx(expected, abs=1e-4)
    assert (given["mixture"], given["weight"]) == ("domino", 3.0)


@pytest.mark.parametrize(("fill", "colour"), [("mean", None), ("black", 0.0)])
def test_hidden_pixels_have_one_colour(run: Path, fill: str, colour: float | None) -> None:
    """The top 30 per cent of a map that rises from left to right: the right part of the image."""
    parts = first_of(run)
    rows = parts.examples.rows("val")[:3]
    maps = torch.arange(32.0).expand(3, 32, 32)
    (hidden,) = vig_bias.kept_batches(parts, rows, maps, quantile=0.7, fill=fill, progress=False)
    (whole,) = parts.batches(parts.loader(rows, whole=True), "", progress=False)
    assert torch.equal(hidden.image[..., 22:], whole.image[..., 22:])
    mean, std = parts.data.mean.view(3, 1, 1), parts.data.std.view(3, 1, 1)
    pixels = hidden.image[..., :22] * std + mean
    expected = mean if colour is None else torch.full((3, 1, 1), colour)
    torch.testing.assert_close(pixels, expected.expand_as(pixels), atol=1e-5, rtol=0)


def test_a_resumed_run_ends_as_an_uninterrupted_one(run: Path, tmp_path: Path) -> None:
    """As if the process had died after the first stage, before it predicted."""
    halfway = tmp_path / run.name
    shutil.copytree(run / "stages", halfway / "stages")
    shutil.copy(run / "config.yaml", halfway)
    shutil.rmtree(halfway / "stages" / "first" / "predictions")
    train(configs.read(halfway / "config.yaml"), resume=halfway)
    assert (halfway / "groups.csv").read_bytes() == (run / "groups.csv").read_bytes()
    assert read(halfway / "predictions" / "test.csv").logits.equal(
        read(run / "predictions" / "test.csv").logits
    )


def test_no_slice_at_all_is_an_error(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = PredictedImages(np.zeros((60, 1)), np.zeros(60, np.int64), np.zeros((60, 2)))
    monkeypatch.setattr(vig_bias.ViGBias, "_images", lambda *_: images)
    monkeypatch.setattr(vig_bias, "class_slices", lambda *_, **__: np.zeros(120, np.int64))
    shutil.copytree(run / "stages", tmp_path / "stages")
    config = configs.read(run / "config.yaml")
    with pytest.raises(ValueError, match=r"fewer than two slices of recipe\.least=1 training im"):
        components.construct("recipe", config.recipe, {}).train(Run(config, tmp_path))
    assert not (tmp_path / "checkpoints").exists()


def test_the_size_of_every_slice_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    stage = DrawnBackbone().stage
    examples, inferred = stage.examples, torch.full_like(stage.examples.split, -1)
    rows = examples.rows("train")
    for one in (0, 1):
        of_class = rows[examples.target[rows] == one]
        inferred[of_class] = 0
        inferred[of_class[:10]] = torch.tensor([1, 2, 2, 3, 3, 3, 4, 4, 4, 4])
    vig_bias.ViGBias()._report(inferred, stage)
    counts = torch.bincount(examples.target[rows]).tolist()
    assert capsys.readouterr().err.splitlines() == [
        f"{name}: slices of 1, 2, 3, 4 training images, and {count - 10} in no slice"
        for name, count in zip(examples.groups.target_names, counts, strict=True)
    ]


def test_a_last_layer_can_be_refitted_on_the_slices(run: Path) -> None:
    """As documented. By default, DFR would read the bias labels of validation."""
    changes = ["recipe.name=dfr", f"recipe.backbone={run}", f"groups.file={run}/groups.csv"]
    for more, labels in ([], "val"), (["groups.splits=[train,val]"], "none"):
        config = configs.load("drawn_birds", overrides(run.parents[1], *changes, *more))
        recipe = components.construct("recipe", config.recipe, {})
        assert labels_read(config, recipe) == labels
    parts = build(config)
    recipe.check(parts, config)
    lines = csv.DictReader((run / "groups.csv").read_text().splitlines())
    inferred = {line["path"]: int(line["inferred"]) for line in lines}
    for split in ("train", "val"):
        rows, seen = parts.examples.rows(split), parts.seen(split)
        expected = [inferred[seen.images[row]] for row in rows.tolist()]
        assert seen.bias[rows].tolist() == expected


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("quantile", 1.5, r"recipe.quantile must lie in \[0, 1\]; got 1.5"),
        ("fill", "green", "recipe.fill must be one of black, mean; got 'green'"),
        ("cam", "lrp", "recipe.cam must be one of grad_cam, xgrad_cam; got 'lrp'"),
        ("fitted", "test", "recipe.fitted must be one of train, val; got 'test'"),
        ("mixture", "gmm", "recipe.mixture must be one of facts, domino; got 'gmm'"),
        ("components", 1, "recipe.components must be at least 2; got 1"),
        ("slices", 0, "recipe.slices must be at least 1; got 0"),
        ("least", 0, "recipe.least must be at least 1; got 0"),
        ("weight", -1, "recipe.weight must be at least 0; got -1"),
    ],
)
def test_options_that_are_refused(option: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vig_bias.ViGBias(**{option: value})


def test_mistakes_are_told_before_anything_is_trained(run: Path, tmp_path: Path) -> None:
    cases = {
        "recipe.layer=nowhere": "nowhere",
        "recipe.layer=layer4": "images of 32 x 32 pixels give a Grad-CAM map of a single",
        "recipe.least=21": r"at least 42 images in train, for two slices of recipe.least=21 im",
        "recipe.first.epoch=1": "unknown key 'epoch'",
        "groups.file=own.csv": r"does not allow groups\.file; got groups\.file=own\.csv",
    }
    for override, message in cases.items():
        with pytest.raises(ValueError, match=message):
            train(config_of(run.parents[1], override, f"out={tmp_path}"))
    assert not list(tmp_path.iterdir())


def test_a_class_with_too_few_images_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three validation images of waterbirds: no mixture can be fitted there, but on training."""
    monkeypatch.setattr(vig_bias, "check_maps", lambda parts, layer: None)
    parts = DrawnBackbone().stage.parts
    rows, target = parts.examples.rows("val"), parts.examples.target.clone()
    target[rows], target[rows[:3]] = 0, 1
    few = parts._replace(examples=replace(parts.examples, target=target))
    config = configs.load("drawn_birds/vig_bias", [])
    smallest = int(torch.bincount(target[parts.examples.rows("train")]).min())
    vig_bias.ViGBias(fitted="train").check(few, config)
    with pytest.raises(ValueError, match=r"recipe\.fitted=val, .*; got fewer of waterbird"):
        vig_bias.ViGBias().check(few, config)
    vig_bias.ViGBias(fitted="train", least=smallest // 2).check(few, config)
    with pytest.raises(ValueError, match=r"images in train, for two slices of recipe\.least="):
        vig_bias.ViGBias(fitted="train", least=smallest // 2 + 1).check(few, config)
