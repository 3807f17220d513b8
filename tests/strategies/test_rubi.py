"""RUBi: each turn's value by definition, and who receives gradient."""

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.erm import ERM
from debias.strategies.rubi import RUBi
from tests.fakes import GROUPS, TinyClassifier, batch_of
from tests.properties import assert_own_gradient

BATCH = batch_of(8)


def pair(**options: float) -> tuple[RUBi, TinyClassifier]:
    torch.manual_seed(0)
    return RUBi(GROUPS, **options), TinyClassifier()


def test_values_by_definition():
    """CE(g); then CE(f * sigmoid(h)) + 0.5 CE(h) with h the head on the features of g."""
    strategy, model = pair(head_weight=0.5)
    g, f = strategy.network(BATCH.image), model(BATCH.image)
    biased = strategy.biased_loss(model, BATCH)
    assert biased.total.item() == pytest.approx(
        F.cross_entropy(g.logits, BATCH.target).item(), rel=1e-6
    )
    mask = (g.features @ strategy.head.weight.T + strategy.head.bias).double()
    fused = F.cross_entropy(f.logits.double() / (1 + torch.exp(-mask)), BATCH.target).item()
    alone = F.cross_entropy(mask, BATCH.target).item()
    loss = strategy.model_loss(model, BATCH)
    assert loss.total.item() == pytest.approx(fused + 0.5 * alone, rel=1e-5)
    assert {name: term.item() for name, term in loss.terms.items()} == pytest.approx(
        {"cross_entropy": fused, "head_cross_entropy": alone}, rel=1e-5
    )


def test_a_mask_by_hand():
    """A head of weight zero and biases (log 3, 0): masks 3/4 and 1/2 of every logit; CE(h) = log 4
    - log 3 for class 0.

    Logits (4, 2) become (3, 1): log(1 + e^-2) for class 0, which is 0.12693.
    """
    strategy, model = pair()
    with torch.no_grad():
        strategy.head.weight.zero_()
        strategy.head.bias.copy_(torch.tensor([3.0, 1.0]).log())
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([4.0, 2.0]))
    loss = strategy.model_loss(model, BATCH._replace(target=torch.zeros(8, dtype=torch.int64)))
    assert loss.terms["cross_entropy"].item() == pytest.approx(0.12693, abs=1e-5)
    assert loss.terms["head_cross_entropy"].item() == pytest.approx(0.28768, abs=1e-5)


def test_who_receives_gradient():
    """g from its own turn alone; f and the head from the second, the head by both terms."""
    strategy, model = pair(head_weight=0.0)
    assert [turn.player for turn in strategy.turns(3)] == ["biased", "model"]
    assert_own_gradient(strategy, model, BATCH, step=0)
    through_the_mask = strategy.head.bias.grad.clone()
    assert through_the_mask.abs().max() > 0


def test_samples_that_g_gets_right_teach_less():
    """Where the mask lifts the logit of the right class over the wrong ones, f's gradient is
    smaller than by ERM.
    """
    strategy, model = pair()
    right = torch.zeros(8, dtype=torch.int64)
    with torch.no_grad():
        strategy.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([2.0, 2.0]))
        norms = []
        for bias in ([5.0, -5.0], [-5.0, 5.0]):
            strategy.head.bias.copy_(torch.tensor(bias))
            with torch.enable_grad():
                loss = strategy.model_loss(model, BATCH._replace(target=right)).total
                norms.append(torch.autograd.grad(loss, model.head.bias)[0].norm().item())
    with torch.enable_grad():
        plain = ERM().loss(model, BATCH._replace(target=right)).total
    erm = torch.autograd.grad(plain, model.head.bias)[0].norm().item()
    assert norms[0] < erm < norms[1]


def test_refuses():
    with pytest.raises(ValueError, match=r"head_weight must be at least 0 for RUBi; got -1\.0"):
        RUBi(GROUPS, head_weight=-1.0)
    with pytest.raises(ValueError, match="no small-receptive-field network 'k1'"):
        RUBi(GROUPS, biased="k1")
