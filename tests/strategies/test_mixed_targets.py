"""Strategies beside augmentations that mix classes: what reads class indices is refused, everything
else takes both.
"""

import copy
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from debias.augment.augmentation import Unchanged
from debias.augment.lisa import LISA
from debias.augment.mixing import CutMix, Mixup
from debias.augment.recombination import Recombination
from debias.strategies.coral import CORAL
from debias.strategies.erm import ERM
from debias.strategies.group_dro import GroupDRO
from debias.strategies.irm import IRM
from debias.strategies.strategy import Strategy
from debias.strategies.vrex import VREx
from debias.training.fit import seed_all
from debias.training.module import DebiasModule, check_targets
from debias.training.optimizers import constant, sgd
from tests.fakes import GROUPS, TinyClassifier, batch_of
from tests.strategies.test_strategies import SIDES, STRATEGIES

SOFT = [name for name, make in STRATEGIES.items() if not make().hard_targets]


def objectives(
    strategy: Strategy, model: TinyClassifier, soft: bool, side: int
) -> list[torch.Tensor]:
    batch = batch_of(16, side=side)
    if soft:
        batch = batch._replace(target=F.one_hot(batch.target, 2).float())
    # every stage of those that have some; models do not move
    turns = [turn for step in (0, 5, 10) for turn in strategy.turns(step)]
    seed_all(0)
    return [turn.objective(model, batch).total for turn in turns]


@pytest.mark.parametrize("name", SOFT)
def test_certain_probabilities_are_classes(name):
    """A strategy either says ``hard_targets``, or has the same objectives for class c and for
    probability 1 of c.
    """
    side = SIDES.get(name, 2)
    seed_all(1)
    strategy = STRATEGIES[name]()
    model = TinyClassifier(3 * side * side, outputs=strategy.model_outputs(GROUPS))
    twin, same = copy.deepcopy(strategy), copy.deepcopy(model)
    for hard, soft in zip(
        objectives(strategy, model, False, side), objectives(twin, same, True, side), strict=True
    ):
        torch.testing.assert_close(hard, soft, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "strategy",
    [
        GroupDRO(GROUPS, torch.ones(4)),
        STRATEGIES["class_reweighting"](),
        STRATEGIES["group_reweighting"](),
        STRATEGIES["bias_amplification"](),  # its offsets belong to one image each
        IRM(GROUPS, environments="group"),
        CORAL(GROUPS, conditional=True),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_what_reads_classes_is_refused(strategy):
    for augment in (Mixup(GROUPS), CutMix(GROUPS), LISA(GROUPS)):
        message = (
            f"{type(strategy).__name__} needs one class per sample, and "
            f"{type(augment).__name__} mixes"
        )
        with pytest.raises(ValueError, match=message):
            check_targets(strategy, augment)
    for harmless in (Unchanged(), Recombination()):
        check_targets(strategy, harmless)


def test_what_does_not_is_taken():
    for strategy in (ERM(), IRM(GROUPS), VREx(GROUPS), CORAL(GROUPS)):
        check_targets(strategy, LISA(GROUPS))


def test_the_module_refuses_before_training():
    with pytest.raises(ValueError, match="GroupDRO needs one class"):
        DebiasModule(
            TinyClassifier(),
            GroupDRO(GROUPS, torch.ones(4)),
            GROUPS,
            None,
            optimizer=lambda player, parameters: sgd(parameters, lr=0.1),
            scheduler=partial(constant, epochs=1),
            augment=LISA(GROUPS),
        )
