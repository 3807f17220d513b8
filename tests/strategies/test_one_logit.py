"""Every strategy for single labels trains and evaluates a model with a single logit."""

import pytest
import torch

from debias import components
from debias.commands.list import labels_taken
from debias.methods import METHODS
from debias.models.copies import twin
from debias.models.last_layers import OneLogit
from debias.types import Batch
from tests.commands.test_labels_taken import BIAS, SAMPLES, SIDE, TARGET, Staged, facts
from tests.fakes import GROUPS

#: Steps of the first and of the last stage of strategies with stages.
STEPS = (0, 20_000)
#: Options without a default, those of small images, and one that draws the head again.
OPTIONS = {
    "ood_training": {"folder": "pictures"},
    "denetdm": {"shallow": ["conv 4 3", "relu", "global_pool"]},
    "disentangled": {"separate_start": True},
    "partition": {"layers": ["layer1", "layer2"], "width": 8},
}
SINGLE = [name for name in METHODS["strategy"] if labels_taken("strategy", name) != "several"]


def single() -> Staged:
    model = Staged(2)
    model.head = OneLogit(model.feature_size)
    return model


def images_batch(views: int) -> Batch:
    image = torch.randn(SAMPLES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(SAMPLES, 1, SIDE, SIDE)
    batch = Batch(image, TARGET[:, 0], BIAS, torch.arange(SAMPLES), mask)
    return batch._replace(views=(batch,) * views)


@pytest.mark.parametrize("name", SINGLE)
def test_a_strategy_trains_and_predicts(name):
    model = single()
    section = {"name": name, **OPTIONS.get(name, {})}
    strategy = components.construct("strategy", section, facts(GROUPS) | {"model": model})
    if strategy.model_outputs(GROUPS) != 2:
        return  # a network with a single logit is refused: see test_layered
    batch = images_batch(strategy.views)
    for step in STEPS:
        for turn in strategy.turns(step):
            total = turn.objective(model, batch).total
            assert bool(total.isfinite())
            assert total.requires_grad
    logits = strategy.eval().classify(model.eval(), batch.image).logits
    assert logits.shape == (SAMPLES, 2)


def test_a_twin_has_a_single_logit_too_unless_it_predicts_other_classes():
    assert isinstance(twin(single()).head, OneLogit)
    other = twin(single(), outputs=3).head
    assert (type(other), other.out_features) == (torch.nn.Linear, 3)
