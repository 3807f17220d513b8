"""A biased network beside a model: who moves when, who owns what, and what is read of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.strategies.biased_network import BesideBiasedNetwork
from tests.fakes import TinyClassifier, batch_of

BATCH = batch_of(8)


class Beside(BesideBiasedNetwork):
    """A method with a layer of its own."""

    def __init__(self, *, warmup: int = 0) -> None:
        super().__init__()
        self.network, self.extra, self.warmup = TinyClassifier(), nn.Linear(2, 1), warmup


class BesideBias(Beside):
    player = "bias"
    learns_bias = True


def test_both_move_in_every_step_or_one_after_the_other() -> None:
    def players(warmup: int, step: int) -> list[str]:
        return [turn.player for turn in Beside(warmup=warmup).turns(step)]

    assert players(0, 0) == players(0, 9) == ["biased", "model"]
    assert [players(2, step) for step in range(3)] == [["biased"], ["biased"], ["model"]]


def test_the_model_owns_what_is_not_the_networks() -> None:
    strategy, model = BesideBias(), TinyClassifier()
    owned = strategy.players(model)
    assert list(owned) == ["bias", "model"]
    assert list(map(id, owned["bias"])) == list(map(id, strategy.network.parameters()))
    others = [*model.parameters(), *strategy.extra.parameters()]
    assert list(map(id, owned["model"])) == list(map(id, others))


@pytest.mark.parametrize("kind", [Beside, BesideBias])
def test_the_network_learns_the_class_or_the_bias(kind: type[Beside]) -> None:
    strategy = kind().eval()
    labels = BATCH.bias if kind.learns_bias else BATCH.target
    loss = strategy.biased_loss(TinyClassifier(), BATCH)
    assert strategy.network.training
    expected = F.cross_entropy(strategy.network(BATCH.image).logits, labels).item()
    assert loss.total.item() == pytest.approx(expected, rel=1e-6)
    assert loss.terms[f"{kind.player}_cross_entropy"].item() == pytest.approx(expected, rel=1e-6)


def test_the_network_is_read_in_evaluation_mode_and_without_gradient() -> None:
    strategy = Beside().train()
    outputs = strategy.biased_outputs(BATCH.image)
    assert not strategy.network.training
    assert not outputs.features.requires_grad
    assert torch.equal(outputs.logits, strategy.network(BATCH.image).logits)


def test_a_method_without_an_objective_of_the_model_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="Beside does not define model_loss"):
        Beside().model_loss(TinyClassifier(), BATCH)
