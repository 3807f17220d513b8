"""PGD: which images are drawn how often, from which weights training continues."""

from types import SimpleNamespace
from typing import Any

import torch

from debias import config as configs
from debias.group_inference.gradient_norms import gradient_norms
from debias.recipes import per_sample_gradient
from debias.recipes.per_sample_gradient import PerSampleGradient
from debias.runs.run import Run
from debias.runs.work import Sizes
from tests.recipes.drawn_backbone import DrawnBackbone


def test_the_biased_network_goes_on_with_draws_by_its_gradients(monkeypatch, capsys) -> None:
    """Conflicting rows have the larger gradients; only training rows have an importance."""
    backbone = DrawnBackbone(seed=3)
    trained: dict[str, Any] = {}

    def train_stage(name: str, config: Any) -> Any:
        trained[name] = config
        return backbone.stage

    monkeypatch.setattr(per_sample_gradient, "Frozen", lambda stage, config: backbone)
    run: Any = SimpleNamespace(
        stage_config=lambda changes: configs.changed(backbone.config, changes),
        train_stage=train_stage,
        infer=lambda inferred, examples, importance: (inferred, importance),
        train_last=lambda changes, partition, start: (changes, partition, start),
    )
    result: Any = PerSampleGradient(biased={"epochs": 2}, norm=0.7).train(run)
    changes, (inferred, importance), start = result
    assert changes == {"sampler": {"name": "weighted"}}
    assert start is backbone.stage
    assert [*trained] == ["biased"]
    assert trained["biased"].strategy["name"] == "generalized_cross_entropy"
    assert trained["biased"].epochs == 2

    examples = backbone.stage.examples
    rows, features = examples.rows("train"), backbone.features("train")
    expected = gradient_norms(
        features, examples.target[rows], backbone.model.head(features), norm=0.7
    )
    torch.testing.assert_close(importance[rows], expected / expected.mean())
    assert bool(importance[examples.split > 0].isnan().all())
    assert torch.equal(inferred[rows], (importance[rows] > 1).long())
    assert set(inferred[examples.split > 0].tolist()) == {-1}
    conflicting = examples.target[rows] != examples.bias[rows]
    assert importance[rows][conflicting].mean() > 2 * importance[rows][~conflicting].mean()
    count = int(inferred[rows].sum())
    assert f"PGD draws {count} of 120 training images more often than" in capsys.readouterr().err


def test_the_cost_counts_both_trainings(tmp_path) -> None:
    run = Run(configs.load("drawn_birds/per_sample_gradient", []), tmp_path)
    first, last = PerSampleGradient(biased={"epochs": 2}).work(run, Sizes((5, 5), 4, 4))
    assert (first.config.epochs, first.looks, last.config.epochs) == (2, 1, 8)
