"""BCSI: which images are pivotal, how often they are drawn, where training goes on; no training."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from debias import config as configs
from debias.group_inference.agreement import highest_in_all
from debias.group_inference.influence import self_influence
from debias.models.projection import ProjectedHead
from debias.recipes import bcsi
from debias.recipes.bcsi import BCSI
from debias.runs.run import Run
from debias.runs.work import Sizes
from tests.recipes.drawn_backbone import DrawnBackbone

BACKBONE = DrawnBackbone()


def tuned(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Any, dict[str, Any]]:
    """What the last stage is given, and the configs of the biased networks."""
    monkeypatch.setattr(bcsi, "Frozen", lambda stage, config: BACKBONE)
    monkeypatch.setattr(bcsi, "backbone_stage", lambda run, config, backbone: BACKBONE.stage)
    trained: dict[str, Any] = {}
    config = configs.changed(BACKBONE.config, {"seed": 4})
    run: Any = SimpleNamespace(
        config=config,
        stage_config=lambda changes: configs.changed(config, changes or {}),
        train_stage=trained.__setitem__,
        infer=lambda inferred, examples, importance: (inferred, importance),
        train_last=lambda changes, partition, start: (changes, partition, start),
    )
    return BCSI(**options).train(run), trained


def influences() -> tuple[Tensor, Tensor]:
    """Self-influence of the training images, and their classes."""
    examples = BACKBONE.stage.examples
    target, features = examples.target[examples.rows("train")], BACKBONE.features("train")
    with torch.no_grad():
        return self_influence(features, target, BACKBONE.model.head(features)), target


def test_pivotal_images_have_the_weight_of_all_others_over_lambda(monkeypatch, capsys) -> None:
    """12 of each class: their draws are together 1 / 0.1 times as likely as those of the rest."""
    result, trained = tuned(monkeypatch, networks=2, top=12, biased={"epochs": 3})
    changes, (inferred, importance), start = result
    assert changes == {"sampler": {"name": "weighted"}}
    assert start is BACKBONE.stage
    assert [(name, each.seed, each.epochs) for name, each in trained.items()] == [
        ("biased-1", 8, 3), ("biased-2", 9, 3),
    ]  # fmt: skip
    names = {each.strategy["name"] for each in trained.values()}
    assert names == {"generalized_cross_entropy"}
    rows = BACKBONE.stage.examples.rows("train")
    found, target = influences()
    expected = highest_in_all(found[None], target, count=12)
    assert torch.equal(inferred[rows], expected.long())
    pivotal = inferred[rows] == 1
    weights = importance[rows]
    assert (weights[pivotal].sum() / weights[~pivotal].sum()).item() == pytest.approx(10)
    assert len(weights.unique()) == 2
    assert bool(importance[BACKBONE.stage.examples.split > 0].isnan().all())
    assert "pivotal images: landbird 12, waterbird 12" in capsys.readouterr().err


def test_the_seeds_follow_from_the_seed_of_the_biased_networks(monkeypatch) -> None:
    _, trained = tuned(monkeypatch, networks=2, top=12, biased={"seed": 5})
    assert [each.seed for each in trained.values()] == [10, 11]


def test_most_pivotal_images_contradict_the_shortcut() -> None:
    """A fifth of the images does: among the 12 highest of each class, at least half."""
    examples = BACKBONE.stage.examples
    rows = examples.rows("train")
    found, target = influences()
    conflicting = target != examples.bias[rows]
    pivotal = highest_in_all(found[None], target, count=12)
    assert conflicting[pivotal].double().mean() >= 0.5 > 2 * conflicting.double().mean()


def test_a_run_with_another_kind_of_last_layer_is_refused_before_training(monkeypatch) -> None:
    """Its parameters would have no optimiser. Here, training is not even possible."""
    backbone = DrawnBackbone()
    backbone.model.head = ProjectedHead(nn.Identity(), nn.Linear(4, 2))
    monkeypatch.setattr(bcsi, "backbone_stage", lambda run, config, folder: backbone.stage)
    run: Any = SimpleNamespace(stage_config=lambda changes: BACKBONE.config)
    with pytest.raises(ValueError, match="=RUN has another kind of last layer"):
        BCSI(backbone="RUN").train(run)


def test_a_set_of_all_images_is_refused(monkeypatch) -> None:
    with pytest.raises(ValueError, match=r"agree on 120 of 120 training images.*recipe\.top"):
        tuned(monkeypatch, networks=1, top=120)


def test_the_cost_counts_every_network(tmp_path) -> None:
    run, sizes = Run(configs.load("drawn_birds/bcsi", []), tmp_path), Sizes((5, 5), 4, 4)
    biased, base, last = BCSI(biased={"epochs": 2}).work(run, sizes)
    assert (biased.times, biased.looks, biased.config.epochs) == (3, 1, 2)
    assert (base.config.strategy["name"], last.config.recipe["name"]) == ("erm", "single")
    recipe = BCSI(backbone="pretrained")
    assert len(recipe.work(run, sizes)) == 2
    assert len(recipe.shareable(run)) == 3


def test_a_hessian_that_does_not_fit_is_refused_before_training() -> None:
    head = nn.Linear(4096, 10)
    parts: Any = SimpleNamespace(module=SimpleNamespace(model=nn.ModuleDict({"head": head})))
    with pytest.raises(ValueError, match=r"of 40,970 parameters needs .*: use a model with"):
        BCSI().check(parts, configs.Config())
