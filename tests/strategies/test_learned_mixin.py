"""Learned-Mixin: values by definition, the biased network trained first and then truly frozen."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.models.classifier import small_receptive_classifier
from debias.strategies.learned_mixin import LearnedMixin, entropies
from tests.fakes import GROUPS, TinyClassifier, batch_of
from tests.properties import assert_own_gradient

BATCH = batch_of(8)


class SizedClassifier(TinyClassifier):
    """Says how many features it has, as ``debias.models.classifier.Classifier`` does."""

    feature_size = 5


def pair(**options: float) -> tuple[LearnedMixin, SizedClassifier]:
    torch.manual_seed(0)
    model = SizedClassifier()
    return LearnedMixin(GROUPS, model, **options), model


def test_values_by_definition():
    """CE(f + c log p_g) + 0.36 H(softmax(c log p_g)), c = log(1 + exp(a z + b)), in float64."""
    strategy, model = pair(warmup=1)
    f = model(BATCH.image)
    log_p = strategy.network.eval()(BATCH.image).logits.double().log_softmax(dim=1)
    factor = torch.log1p(
        torch.exp(f.features.double() @ strategy.trust.weight.double().T + strategy.trust.bias)
    )
    error = F.cross_entropy(f.logits.double() + factor * log_p, BATCH.target).item()
    p = torch.softmax(factor * log_p, dim=1)
    entropy = -(p * p.log()).sum(dim=1).mean().item()
    loss = strategy.model_loss(model, BATCH)
    assert loss.total.item() == pytest.approx(error + 0.36 * entropy, rel=1e-5)
    assert loss.terms["cross_entropy"].item() == pytest.approx(error, rel=1e-5)
    assert loss.terms["biased_entropy"].item() == pytest.approx(entropy, rel=1e-5)


@pytest.mark.parametrize("name", ["simple_conv_k1", "simple_conv_k7"])
def test_the_biased_network_is_the_one_that_is_named(name):
    """A kernel of 1 sees a single pixel, one of 7 many: the weights have the shapes of that
    network's, no other's.
    """
    strategy, _ = pair(biased=name)
    expected = small_receptive_classifier(2, name=name)
    shapes = [
        [parameter.shape for parameter in network.parameters()]
        for network in (strategy.network, expected)
    ]
    assert shapes[0] == shapes[1]
    kernels = {
        module.kernel_size for module in strategy.network.modules() if isinstance(module, nn.Conv2d)
    }
    assert kernels == {(1, 1) if name == "simple_conv_k1" else (7, 7)}


def test_the_biased_network_trains_by_cross_entropy():
    strategy, model = pair()
    expected = F.cross_entropy(strategy.network(BATCH.image).logits, BATCH.target)
    torch.testing.assert_close(strategy.biased_loss(model, BATCH).total, expected)


def test_entropies_by_hand():
    """Two equal logits: log 2. Probabilities 3/4 and 1/4: log 4 - 3/4 log 3 = 0.56234."""
    found = entropies(torch.tensor([[7.0, 7.0], [3.0, 1.0]]).log())
    assert found.tolist() == pytest.approx([0.69315, 0.56234], abs=1e-5)


def test_logits_and_log_probabilities_give_the_same_loss():
    """A constant per sample changes no softmax: shifting the logits of g by 7 changes nothing."""
    strategy, model = pair()
    before = strategy.model_loss(model, BATCH).total
    with torch.no_grad():
        strategy.network.head.bias += 7.0
    torch.testing.assert_close(strategy.model_loss(model, BATCH).total, before)


def test_turns():
    strategy, _ = pair(warmup=3)
    assert [[turn.player for turn in strategy.turns(step)] for step in (0, 2, 3, 4)] == [
        ["biased"],
        ["biased"],
        ["model"],
        ["model"],
    ]


def test_who_receives_gradient():
    strategy, model = pair(warmup=1)
    owned = sum(map(len, strategy.players(model).values()))
    assert owned == len([*model.parameters(), *strategy.parameters()])
    for step in (0, 1):
        assert_own_gradient(strategy, model, BATCH, step)


def test_frozen_to_the_last_statistic():
    """After the warm-up nothing of g moves, not even averages of normalisation, in training."""
    strategy, model = pair(warmup=1)
    strategy.turns(0)[0].objective(model, BATCH)
    before = {key: value.clone() for key, value in strategy.network.state_dict().items()}
    strategy.train()
    strategy.turns(1)[0].objective(model, batch_of(8, seed=5))
    assert all(
        torch.equal(before[key], value) for key, value in strategy.network.state_dict().items()
    )
    strategy.turns(0)[0].objective(model, batch_of(8, seed=5))
    assert not all(
        torch.equal(before[key], value) for key, value in strategy.network.state_dict().items()
    )


def test_a_sure_g_that_is_trusted_leaves_nothing_to_learn():
    """g sure of the right class and a large factor: f's gradient vanishes; where g is sure and
    wrong, it is large.
    """
    strategy, model = pair()
    with torch.no_grad():
        strategy.network.head.weight.zero_()
        strategy.network.head.bias.copy_(torch.tensor([10.0, -10.0]))
        strategy.trust.bias.fill_(2.0)
    norms = []
    for target in (0, 1):
        loss = strategy.model_loss(model, BATCH._replace(target=torch.full((8,), target))).total
        norms.append(torch.autograd.grad(loss, model.head.bias)[0].norm().item())
    assert norms[0] < 1e-5
    assert norms[1] == pytest.approx(2**0.5, rel=1e-2)


def test_refuses():
    model: nn.Module = SizedClassifier()
    with pytest.raises(ValueError, match="warmup must be at least 1 for LearnedMixin; got 0"):
        LearnedMixin(GROUPS, model, warmup=0)
    with pytest.raises(
        ValueError, match=r"entropy_weight must be at least 0 for LearnedMixin; got -0\.1"
    ):
        LearnedMixin(GROUPS, model, entropy_weight=-0.1)
    with pytest.raises(ValueError, match="simple_conv_k2"):
        LearnedMixin(GROUPS, model, biased="simple_conv_k2")
