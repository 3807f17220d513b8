"""OODTraining: its loss by definition, and that features of the pictures lose weight."""

import pytest
import torch
from torch.nn import functional as F

from debias.losses.confusion import confusion_losses
from debias.strategies.erm import ERM
from debias.strategies.ood_training import OODTraining
from tests.fakes import GROUPS, TinyClassifier, batch_of

HALF = (0.5, 0.5, 0.5)
POOL = torch.randint(256, (3, 3, 2, 2), generator=torch.Generator().manual_seed(5)).byte()


def ood(pool=POOL, **options) -> OODTraining:
    return OODTraining(GROUPS, HALF, HALF, lambda folder: pool, folder="pictures", **options)


def test_value_by_definition():
    torch.manual_seed(0)
    model, batch = TinyClassifier(), batch_of(8)
    strategy = ood(alpha=0.5)
    torch.manual_seed(1)
    pictures = POOL[torch.randint(3, (8,))].float() / 127.5 - 1
    torch.manual_seed(1)
    found = strategy.loss(model, batch)
    own = F.cross_entropy(model(batch.image).logits, batch.target)
    undecided = confusion_losses(model(pictures).logits).mean()
    assert found.total.item() == pytest.approx((own + 0.5 * undecided).item() / 2, rel=1e-5)
    assert found.terms["cross_entropy"].item() == pytest.approx(own.item(), rel=1e-5)


def test_without_weight_it_is_half_of_erm():
    torch.manual_seed(0)
    model, batch = TinyClassifier(), batch_of(8)
    weights = list(model.parameters())
    found = torch.autograd.grad(ood(alpha=0.0).loss(model, batch).total, weights)
    expected = torch.autograd.grad(ERM().loss(model, batch).total, weights)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(2 * one, two)


def test_probabilities_and_weights_of_the_batch_are_kept():
    batch, weight = batch_of(4), torch.tensor([1.0, 2.0, 3.0, 4.0])
    target = torch.tensor([[0.75, 0.25]] * 4)
    both = ood(alpha=0.5).joined(batch._replace(target=target, weight=weight))
    assert both.target.tolist() == [[0.75, 0.25]] * 4 + [[0.5, 0.5]] * 4
    assert both.weight.tolist() == [1, 2, 3, 4, 0.5, 0.5, 0.5, 0.5]


def test_checkpoints_know_the_pictures():
    other = POOL.clone()
    other[2, 1, 1, 0] += 1
    states = [ood(pool.clone()).state_dict() for pool in (POOL, POOL, other)]
    first, second, third = (state["pictures_digest"].tolist() for state in states)
    assert first == second != third
    last = POOL.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert ood(last).pictures_digest.tolist() == first


def test_both_halves_are_attacked():
    torch.manual_seed(0)
    model, strategy = TinyClassifier(), ood(steps=2, epsilon=0.1)
    both = strategy.joined(batch_of(8))
    assert both.bias[8:].tolist() == [-1] * 8
    change = (strategy.attack.perturbed(model, both) - both.image).abs().flatten(1).amax(dim=1) / 2
    assert (change > 0.01).all()
    assert change.max().item() <= 0.1 + 1e-6


def test_what_the_pictures_show_loses_weight():
    """The bias is in the green of the first pixel, which also differs between the pictures."""
    pool = torch.full((2, 3, 2, 2), 127).byte()
    pool[0, 1, 0, 0], pool[1, 1, 0, 0] = 0, 255
    green = []
    for alpha in (0.0, 1.0, 10.0):
        torch.manual_seed(0)
        model, batch = TinyClassifier(), batch_of(32)
        batch = batch._replace(target=batch.bias)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        for _ in range(40):
            optimizer.zero_grad()
            ood(pool, alpha=alpha).loss(model, batch).total.backward()
            optimizer.step()
        logits = model(pool.float() / 127.5 - 1).logits
        green.append((logits[1] - logits[0]).diff().abs().item())
    assert green[0] > 1.5 * green[1] > 2 * green[2]


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match=r"set strategy\.folder=FOLDER$"):
        OODTraining(GROUPS, HALF, HALF, lambda folder: POOL)
    for options in ({"alpha": -1.0}, {"steps": -1}, {"norm": "l1"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            ood(**options)
