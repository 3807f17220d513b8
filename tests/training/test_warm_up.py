"""Epochs in which only other networks have moved: recorded, and preferred by no selection rule."""

from collections.abc import Callable

import torch

from debias.strategies.badd import BAdd
from debias.strategies.echoes import Echoes
from debias.strategies.erm import ERM
from debias.strategies.strategy import Strategy
from debias.training.module import DebiasModule
from debias.training.recorder import Recorder
from tests.fakes import GROUPS, TinyClassifier
from tests.training.test_module import module_of, trained


def warming_up(*, warmup: int) -> DebiasModule:
    return module_of(lambda: BAdd(GROUPS, TinyClassifier(), warmup=warmup))


def recorded(module: DebiasModule, folder) -> Recorder:
    recorder = Recorder(folder, write=lambda epoch, predicted: None)
    trained(module, folder, epochs=3, callbacks=[recorder])
    return recorder


def test_no_rule_prefers_an_epoch_in_which_the_model_stood_still(tmp_path):
    """Six batches an epoch: of three epochs the first is a warm-up, and in the second the model
    moves at its end.
    """
    recorder = recorded(warming_up(warmup=11), tmp_path)
    assert [set(entry["val"]) >= {"average", "worst_group"} for entry in recorder.history] == [
        False,
        True,
        True,
    ]
    assert recorder.history[0]["val"] == {}
    assert recorder.history[0]["train"]["biased_cross_entropy"] > 0
    assert set(recorder.preferred().values()) <= {1, 2}
    assert not recorder.weights(0).exists()


def test_a_warm_up_of_whole_epochs(tmp_path):
    recorder = recorded(warming_up(warmup=12), tmp_path)
    assert [bool(entry["val"]) for entry in recorder.history] == [False, False, True]
    assert set(recorder.preferred().values()) == {2}


def test_the_epoch_in_which_echoes_gives_the_model_no_weight(tmp_path):
    recorder = recorded(module_of(lambda: Echoes(GROUPS, 48, TinyClassifier())), tmp_path)
    assert [bool(entry["val"]) for entry in recorder.history] == [False, True, True]


class HeadOnly(ERM):
    """Owns the model's head, as a last stage does."""

    def players(self, model):
        return {"model": list(model.head.parameters())}


class OwnsNothing(ERM):
    """Its one player is a network beside the model, which is judged as it came."""

    def __init__(self) -> None:
        super().__init__()
        self.own = torch.nn.Linear(2, 2)

    def players(self, model):
        return {"model": list(self.own.parameters())}


def test_when_the_model_has_moved():
    assert _moved(ERM) == _moved(HeadOnly) == [False, True, True]
    assert _moved(OwnsNothing) == [True, True, True]
    module = warming_up(warmup=2)
    assert [module.model_has_moved(steps) for steps in (0, 1, 2, 3)] == [False, False, False, True]


def _moved(make: Callable[[], Strategy]) -> list[bool]:
    module = module_of(make)
    return [module.model_has_moved(steps) for steps in (0, 1, 2)]
