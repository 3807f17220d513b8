"""Log priors and logit-adjusted losses: by hand, their limits, and their Bayes rule."""

import math

import pytest
import torch
from torch.nn import functional as F

from debias.losses.logit_adjustment import log_priors, logit_adjusted_losses
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
)

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([0, 2, 1, 1, 0, 2])
COUNTS = torch.tensor([70, 20, 10])


def test_priors_by_hand():
    """Shares 3/4 and 1/4; given a bias each, 0.95 and 0.05, and 1/2 and 1/2."""
    assert log_priors(torch.tensor([3, 1])).exp().tolist() == pytest.approx([0.75, 0.25])
    table = log_priors(torch.tensor([[95, 5], [8, 8]])).exp()
    torch.testing.assert_close(table, torch.tensor([[0.95, 0.05], [0.5, 0.5]]))


def test_an_empty_cell_has_a_finite_prior_and_an_empty_row_adjusts_nothing():
    """1e-9 stands for a share of 0; a bias without samples gives every class the same constant."""
    table = log_priors(torch.tensor([[10, 0], [0, 0]]))
    assert table[0].tolist() == pytest.approx([0.0, math.log(1e-9)])
    losses = logit_adjusted_losses(LOGITS[:, :2], TARGET % 2, log_prior=table[1])
    torch.testing.assert_close(losses, F.cross_entropy(LOGITS[:, :2], TARGET % 2, reduction="none"))


def test_losses_by_hand():
    """Equal logits, shares 3/4 and 1/4: log 4/3 and log 4; with tau = 2 shares are as 9 to 1."""
    prior, zeros, target = log_priors(torch.tensor([3, 1])), torch.zeros(2, 2), torch.tensor([0, 1])
    by_one = logit_adjusted_losses(zeros, target, log_prior=prior)
    assert by_one.tolist() == pytest.approx([math.log(4 / 3), math.log(4)])
    by_two = logit_adjusted_losses(zeros, target, log_prior=prior, tau=2.0)
    assert by_two.tolist() == pytest.approx([math.log(10 / 9), math.log(10)])


def test_tau_1_is_balanced_softmax():
    """-log(n_y e^(z_y) / sum_c n_c e^(z_c)), which knows counts and no shares."""
    weighted = COUNTS * LOGITS.exp()
    expected = -(weighted[torch.arange(6), TARGET] / weighted.sum(dim=1)).log()
    found = logit_adjusted_losses(LOGITS, TARGET, log_prior=log_priors(COUNTS).double())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("tau", "counts"), [(0.0, COUNTS), (3.0, torch.tensor([5, 5, 5]))])
def test_without_tau_or_with_equal_priors_it_is_cross_entropy(tau, counts):
    found = logit_adjusted_losses(LOGITS, TARGET, log_prior=log_priors(counts), tau=tau)
    torch.testing.assert_close(found, F.cross_entropy(LOGITS, TARGET, reduction="none"))


def test_each_sample_may_have_a_prior_of_its_own():
    table = log_priors(torch.tensor([[70, 20, 10], [1, 2, 7]]))
    row = torch.tensor([0, 1, 1, 0, 0, 1])
    found = logit_adjusted_losses(LOGITS, TARGET, log_prior=table[row])
    expected = [
        logit_adjusted_losses(LOGITS, TARGET, log_prior=table[b])[i]
        for i, b in enumerate(row.tolist())
    ]
    torch.testing.assert_close(found, torch.stack(expected))


def test_the_minimum_is_the_likelihood_ratio():
    """Counts of (feature, class) 80/5 and 10/5: the least is at z_1 - z_0 = log p(x|1) / p(x|0).

    Classes have 90 and 10 samples. For the first feature this is log (5/10) / (80/90) = log 9/16,
    for the second log (5/10) / (10/90) = log 9/2: class 1 wins where cross-entropy, log 5/10, lets
    class 0 win.
    """
    counts = torch.tensor([[80, 5], [10, 5]])
    z = torch.tensor([math.log(9 / 16), math.log(9 / 2)], dtype=torch.float64).requires_grad_()
    logits = torch.stack([torch.zeros(2, dtype=torch.float64), z], dim=1).repeat_interleave(
        2, dim=0
    )
    losses = logit_adjusted_losses(
        logits, torch.tensor([0, 1, 0, 1]), log_prior=log_priors(counts.sum(dim=0))
    )
    (gradient,) = torch.autograd.grad((losses * counts.flatten()).sum(), z)
    assert gradient.tolist() == pytest.approx([0.0, 0.0], abs=1e-4)


def test_properties():
    prior = log_priors(COUNTS).double()

    def mean(logits, target):
        return logit_adjusted_losses(logits, target, log_prior=prior, tau=1.5).mean()

    assert_permutation_invariant(mean, LOGITS, TARGET)
    assert_pure(mean, LOGITS, TARGET)
    assert_differentiable(mean, LOGITS, TARGET)
    assert_one_graph(mean, LOGITS, TARGET)


def test_the_prior_is_added_in_float32():
    """Shares 1/4 and 3/4 on logits of 64 in bfloat16, whose steps there are 1/2: the losses stay
    log 4 and log 4/3.
    """
    logits = torch.full((2, 2), 64.0, dtype=torch.bfloat16)
    losses = logit_adjusted_losses(
        logits, torch.tensor([0, 1]), log_prior=log_priors(torch.tensor([1, 3]))
    )
    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx([math.log(4), math.log(4 / 3)], rel=1e-4)
