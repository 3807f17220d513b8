"""AFLite: what the filter is given, what the last stage visits, and what the run costs."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from debias import config as configs
from debias.data.orders import kept, seeded_generator
from debias.group_inference.predictability import unpredictable
from debias.recipes import aflite
from debias.recipes.aflite import AFLite
from debias.runs.run import Run
from debias.runs.work import Sizes
from tests.recipes.drawn_backbone import DrawnBackbone

OPTIONS: dict[str, Any] = {"models": 4, "fitted": 0.2, "removed": 0.1, "least": 0.4}


def test_the_last_stage_visits_what_the_filter_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that the filter keeps at the run's seed have 1, other training rows 0."""
    backbone = DrawnBackbone(seed=3)
    monkeypatch.setattr(aflite, "Frozen", lambda stage, config: backbone)
    monkeypatch.setattr(aflite, "backbone_stage", lambda *given: None)
    run: Any = SimpleNamespace(
        config=backbone.config,
        stage_config=lambda changes: backbone.config,
        infer=lambda inferred, examples: inferred,
        train_last=lambda changes, partition: (changes, partition),
    )
    changes, inferred = AFLite(**OPTIONS, threshold=0.6, repeats=2).train(run)
    assert changes == {"sampler": {"name": "kept", "repeats": 2}}
    examples = backbone.stage.examples
    rows = examples.rows("train")
    expected = unpredictable(
        backbone.features("train"),
        examples.target[rows],
        seeded_generator(3),
        **OPTIONS,
        threshold=0.6,
    )
    assert torch.equal(inferred[rows], expected.long())
    assert set(inferred[rows].tolist()) == {0, 1}
    assert set(inferred[examples.split > 0].tolist()) == {-1}


def test_kept_rows_are_visited_as_often_as_it_says() -> None:
    order = kept(torch.tensor([True, False, True]), repeats=3)
    assert torch.bincount(order.draw(torch.Generator().manual_seed(0))).tolist() == [3, 0, 3]
    with pytest.raises(ValueError, match=r"no training sample has .*by 1 in groups"):
        kept(torch.zeros(3, dtype=torch.bool))


def test_the_cost_counts_the_backbone_that_it_trains(tmp_path) -> None:
    """The last stage has the least share of images, as often as they are repeated."""
    config = configs.load("drawn_birds/aflite", [])
    run, sizes = Run(config, tmp_path), Sizes((95, 5, 5, 95), 40, 40)
    first, last = AFLite(least=0.5, fitted=0.1, repeats=2).work(run, sizes)
    assert (first.sizes.train, last.sizes.groups) == (200, (96, 6, 6, 96))
    assert len(AFLite(backbone="pretrained").work(run, sizes)) == 1
    assert AFLite(backbone="pretrained").shareable(run) == []
