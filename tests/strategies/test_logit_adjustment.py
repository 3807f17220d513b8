"""Logit adjustment: priors by hand, prediction from raw logits, and what it does to a shortcut."""

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.erm import ERM
from debias.strategies.logit_adjustment import ConditionalLogitAdjustment, LogitAdjustment
from debias.types import Groups
from tests.fakes import GROUPS, TinyClassifier, batch_of
from tests.strategies.shortcut import FREQUENCIES as ALIGNED
from tests.strategies.shortcut import worst_group_accuracy

BATCH = batch_of(8)
FREQUENCIES = torch.tensor([90, 20, 10, 80])
CLASSES = torch.tensor([110, 90])


def test_class_prior_by_hand():
    """Classes of 110 and 90 and tau = 2: twice log 0.55 and log 0.45 are added."""
    model = TinyClassifier()
    added = 2 * torch.tensor([0.55, 0.45], dtype=torch.float64).log()
    expected = F.cross_entropy(model(BATCH.image).logits.double() + added, BATCH.target)
    loss = LogitAdjustment(GROUPS, CLASSES, tau=2.0).loss(model, BATCH)
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_prior_given_the_bias_by_hand():
    """On land 90 of 100 are landbirds, on water 20 of 100; of an unknown bias, -1, 110 of 200."""
    model, bias = TinyClassifier(), torch.tensor([0, 0, 1, 1, -1, 0, 1, -1])
    shares = {0: [0.9, 0.1], 1: [0.2, 0.8], -1: [0.55, 0.45]}
    added = torch.tensor([shares[b] for b in bias.tolist()], dtype=torch.float64).log()
    expected = F.cross_entropy(model(BATCH.image).logits.double() + added, BATCH.target)
    loss = ConditionalLogitAdjustment(GROUPS, FREQUENCIES).loss(model, BATCH._replace(bias=bias))
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_soft_counts_replace_the_frequencies():
    strategy = ConditionalLogitAdjustment(GROUPS, FREQUENCIES, soft_counts=(1.5, 0.2, 0.5, 0.6))
    found = strategy.log_prior(BATCH._replace(bias=torch.tensor([0, 1]))).exp()
    torch.testing.assert_close(found[0], torch.tensor([0.75, 0.25]))
    assert (found[1, 1] / found[1, 0]).item() == pytest.approx(3)
    with pytest.raises(ValueError, match=r"soft_counts must have one number per group, 4; got 3\."):
        ConditionalLogitAdjustment(GROUPS, FREQUENCIES, soft_counts=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match=r"soft_counts must be at least 0 .*got -1"):
        ConditionalLogitAdjustment(GROUPS, FREQUENCIES, soft_counts=(1.0, -1.0, 2.0, 3.0))


def test_more_values_of_the_bias_than_classes():
    """Two classes on three backgrounds; group = 3 * class + bias."""
    groups = Groups(("a", "b"), ("x", "y", "z"))
    strategy = ConditionalLogitAdjustment(groups, torch.tensor([1, 2, 3, 9, 8, 7]))
    shares = strategy.log_prior(BATCH._replace(bias=torch.tensor([0, 1, 2]))).exp()
    torch.testing.assert_close(shares, torch.tensor([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]))


@pytest.mark.parametrize(
    "weight", [None, torch.tensor([0.0, 2.0, 1.0, 0.5] * 2)], ids=["plain", "weighted"]
)
@pytest.mark.parametrize("make", [LogitAdjustment, ConditionalLogitAdjustment])
def test_tau_0_is_erm(make, weight):
    model, batch = TinyClassifier(), BATCH._replace(weight=weight)
    frequencies = CLASSES if make is LogitAdjustment else FREQUENCIES
    loss = make(GROUPS, frequencies, tau=0.0).loss(model, batch)
    torch.testing.assert_close(loss.total, ERM().loss(model, batch).total)


def test_independent_bias_leaves_the_class_prior():
    """Where every background has the classes in the same proportion, the two strategies are one."""
    model = TinyClassifier()
    conditional = ConditionalLogitAdjustment(GROUPS, torch.tensor([30, 60, 10, 20])).loss(
        model, BATCH
    )
    torch.testing.assert_close(
        conditional.total, LogitAdjustment(GROUPS, torch.tensor([90, 30])).loss(model, BATCH).total
    )


def test_prediction_reads_the_raw_logits():
    model = TinyClassifier()
    for strategy in (
        LogitAdjustment(GROUPS, CLASSES),
        ConditionalLogitAdjustment(GROUPS, FREQUENCIES),
    ):
        assert torch.equal(strategy.classify(model, BATCH.image).logits, model(BATCH.image).logits)


def test_state_survives():
    model, strategy = TinyClassifier(), ConditionalLogitAdjustment(GROUPS, FREQUENCIES)
    restored = ConditionalLogitAdjustment(GROUPS, torch.ones(4, dtype=torch.int64))
    restored.load_state_dict(strategy.state_dict())
    assert torch.equal(restored.loss(model, BATCH).total, strategy.loss(model, BATCH).total)


@pytest.mark.parametrize("make", [LogitAdjustment, ConditionalLogitAdjustment])
def test_refuses(make):
    with pytest.raises(ValueError, match=rf"tau must be at least 0 for {make.__name__}; got -1\.0"):
        make(GROUPS, FREQUENCIES if make is ConditionalLogitAdjustment else CLASSES, tau=-1.0)


def test_the_shortcut_does_not_pay():
    """Worst group on a set 95 % aligned, mean of 3 seeds: ERM 0.72, this 0.94 after 50 steps; 0.82,
    0.89 after 200.
    """
    plain = worst_group_accuracy(lambda model: ERM(), steps=50)
    adjusted = worst_group_accuracy(
        lambda model: ConditionalLogitAdjustment(GROUPS, ALIGNED), steps=50
    )
    assert adjusted > plain + 0.1
