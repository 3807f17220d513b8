"""FairRegularised: which outcomes are compared, its value by hand, and that it closes the gap it is
asked to close.
"""

import pytest
import torch

from debias.strategies.erm import ERM
from debias.strategies.fair_regularised import FairRegularised
from debias.types import Groups
from tests.fakes import GROUPS, TinyClassifier, batch_of

THREE = Groups(("a", "b", "c"), ("land", "water"))
LABELS = Groups(("no", "yes", "no hat", "hat"), ("land", "water"), multi_label=True)


@pytest.fixture
def parts():
    torch.manual_seed(0)
    return TinyClassifier(), batch_of(8)


def rate(probability, chosen):
    return probability[chosen].mean()


def gaps(probability, present, bias):
    """Parity, opportunity and odds of one outcome and two biases, all groups present."""
    everyone = torch.ones_like(present)
    sides = [
        abs(rate(probability, counted & (bias == 0)) - rate(probability, counted & (bias == 1)))
        for counted in (everyone, present, ~present)
    ]
    return {
        "demographic_parity": sides[0], "equal_opportunity": sides[1],
        "equalized_odds": (sides[1] + sides[2]) / 2,
    }  # fmt: skip


CRITERIA = ["demographic_parity", "equal_opportunity", "equalized_odds"]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_of_two_classes_the_second_is_the_outcome(parts, criterion):
    model, batch = parts
    probability = model(batch.image).logits.softmax(dim=1)[:, 1]
    expected = gaps(probability, batch.target == 1, batch.bias)[criterion]
    loss = FairRegularised(GROUPS, criterion=criterion, weight=3.0).loss(model, batch)
    assert loss.terms[criterion].item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.total.item() == pytest.approx(
        (ERM().loss(model, batch).total + 3 * expected).item(), rel=1e-5
    )


@pytest.mark.parametrize("criterion", CRITERIA)
def test_of_several_classes_each_is_and_the_gaps_are_averaged(criterion):
    torch.manual_seed(0)
    model, batch = TinyClassifier(outputs=3), batch_of(24)
    batch = batch._replace(target=torch.arange(24) % 3)
    probability = model(batch.image).logits.softmax(dim=1)
    expected = (
        sum(gaps(probability[:, c], batch.target == c, batch.bias)[criterion] for c in range(3)) / 3
    )
    loss = FairRegularised(THREE, criterion=criterion).loss(model, batch)
    assert loss.terms[criterion].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_of_labels_each_is(parts, criterion):
    model, batch = parts
    target = torch.tensor([[0, 1], [1, 1], [1, 0], [1, 1], [1, 0], [0, 1], [0, 1], [0, 0]])
    batch = batch._replace(target=target)
    probability = model(batch.image).logits.sigmoid()
    expected = (
        sum(
            gaps(probability[:, label], target[:, label] == 1, batch.bias)[criterion]
            for label in range(2)
        )
        / 2
    )
    loss = FairRegularised(LABELS, criterion=criterion).loss(model, batch)
    assert loss.terms[criterion].item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_weight_it_is_erm(parts):
    model, batch = parts
    assert (
        FairRegularised(GROUPS, weight=0.0).loss(model, batch).total.item()
        == ERM().loss(model, batch).total.item()
    )


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_step_closes_the_gap(parts, criterion):
    model, batch = parts
    strategy = FairRegularised(GROUPS, criterion=criterion, weight=100.0)
    before = strategy.loss(model, batch)
    gradients = torch.autograd.grad(before.total, list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= 1e-4 * gradient
    assert strategy.loss(model, batch).terms[criterion].item() < before.terms[criterion].item()


def test_refuses():
    with pytest.raises(
        ValueError, match=r"one of demographic_parity, equal_opportunity, .*; got 'parity'"
    ):
        FairRegularised(GROUPS, criterion="parity")
    with pytest.raises(
        ValueError, match=r"weight must be at least 0 for FairRegularised; got -1\.0"
    ):
        FairRegularised(GROUPS, weight=-1.0)
