"""Draws that a step determines: the same for the same seed, and others for another seed."""

import pytest
import torch

from debias import components
from debias.strategies.objectives import step_key
from tests.commands.test_labels_taken import SAMPLES, SIDE, Staged, facts
from tests.fakes import GROUPS, batch_of

#: Step after which all of these strategies mix or swap.
STEP = 20_000
DRAWING = (
    *("logit_correction", "selecmix", "selecmix_lff"),
    *("disentangled", "amplified_disentangled", "partition"),
)
#: Options for a small network.
OPTIONS = {"partition": {"layers": ["layer1", "layer2"], "width": 8}}


def losses(name: str, seed: int) -> list[float]:
    """The losses of one step of networks with the same weights, whatever the seed is."""
    torch.manual_seed(3)
    model = Staged(2)
    section = {"name": name, **OPTIONS.get(name, {})}
    given = facts(GROUPS) | {"model": model, "seed": seed}
    strategy = components.construct("strategy", section, given)
    batch = batch_of(SAMPLES, side=SIDE)
    return [turn.objective(model, batch).total.item() for turn in strategy.turns(STEP)]


@pytest.mark.parametrize("name", DRAWING)
def test_another_seed_has_other_draws(name):
    assert losses(name, 4) == losses(name, 4)
    assert losses(name, 4) != losses(name, 5)


def test_seed_0_keeps_the_draws_of_the_step_alone():
    assert [step_key(0, step) for step in (0, 7)] == [0, 7]
    assert step_key(2, 7) == 2_000_013
