"""A backbone that is not trained: the head that the refits start from, fitted by plain ERM."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias import config as configs
from debias.data.orders import seeded_generator
from debias.heads.linear import Rows, fresh_heads
from debias.heads.orders import shuffled_order
from debias.recipes import last_layer
from debias.recipes.frozen import Frozen
from debias.recipes.last_layer import LastLayer, erm_head, portion_of
from debias.runs.run import Run
from tests.heads.spurious_rows import SIZE, spurious_rows
from tests.recipes.drawn_backbone import DrawnBackbone

SEED = 3


@dataclass(kw_only=True)
class AsItStarts(LastLayer):
    """Hands back the head that it was given."""

    share: float = 1.0

    def fit(self, frozen: Frozen, seed: int) -> nn.Linear:
        return frozen.head.linear(0)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_head_it_starts_from_is_fitted_to_the_training_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, share: float
) -> None:
    """To those that a trained backbone would have seen, with the run's seed."""
    backbone = DrawnBackbone(seed=SEED)
    fitted, calls = nn.Linear(SIZE, 2), []

    def noted(*given: Any) -> nn.Linear:
        calls.append(given)
        return fitted

    monkeypatch.setattr(last_layer, "erm_head", noted)
    monkeypatch.setattr(last_layer, "Frozen", lambda stage, config: backbone)
    monkeypatch.setattr(last_layer, "refitted", lambda run, frozen, head, seconds: head)
    recipe, run = AsItStarts(backbone="pretrained", share=share), Run(backbone.config, tmp_path)
    run.built[configs.identity(recipe.stages(run)[0])] = backbone.stage.parts
    head: Any = recipe.train(run)
    [(rows, classes, seed)] = calls
    of_train = backbone.stage.examples.rows("train")
    assert (
        backbone.places(rows.features).tolist()
        == of_train[portion_of(120, backbone.config, share)].tolist()
    )
    assert torch.equal(rows.target, backbone.stage.examples.target[backbone.places(rows.features)])
    assert (classes, seed) == (2, SEED)
    assert torch.equal(head.weight, fitted.weight)
    assert torch.equal(head.bias, fitted.bias)


def test_erm_head_is_sgd_with_momentum() -> None:
    """5,000 steps of 128 of 150 rows; features are small: the descent has far to go at its end."""
    rows = spurious_rows(150, aligned=0.9, seed=0)
    rows = Rows(0.05 * rows.features, rows.target, rows.group)
    generator = seeded_generator(SEED)
    layer = fresh_heads(1, classes=2, size=SIZE, generator=generator).linear(0)
    order = shuffled_order(150, batch_size=128, steps=5000, generator=generator)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-2, momentum=0.9, weight_decay=1e-4)
    for batch in order:
        optimizer.zero_grad()
        F.cross_entropy(layer(rows.features[batch]), rows.target[batch]).backward()
        optimizer.step()
    found = erm_head(rows, 2, SEED)
    for one, other in ((found.weight, layer.weight), (found.bias, layer.bias)):
        # the mean over the classes, which no softmax reads, is not decayed
        torch.testing.assert_close(one[1] - one[0], other[1] - other[0], atol=1e-4, rtol=0)
