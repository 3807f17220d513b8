"""cvar against hand-derived values, a search over t in float64, and one process against two."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from debias.losses.cvar import cvar
from tests.losses import two_cvar_ranks as two
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)
from tests.two_ranks import found_by_both

LOSSES = torch.tensor([0.5, 3.0, 1.0, 4.0, 2.0], dtype=torch.float64)


def test_by_hand():
    """The two worst of five are 4, 3; of 0.5 * 5 = 2.5 samples, 4 and 3 count whole, 2 by half."""
    assert cvar(LOSSES, alpha=0.4).item() == pytest.approx(3.5)
    assert cvar(LOSSES, alpha=0.5).item() == pytest.approx((4 + 3 + 0.5 * 2) / 2.5)


def test_limits():
    """alpha = 1 is the mean; up to 1/5 it is the largest loss."""
    assert cvar(LOSSES, alpha=1.0).item() == pytest.approx(LOSSES.mean().item())
    assert [cvar(LOSSES, alpha=alpha).item() for alpha in (0.01, 0.2)] == pytest.approx([4.0, 4.0])


@given(
    losses=st.lists(st.floats(0, 100), min_size=1, max_size=30),
    alpha=st.floats(0.01, 1),
)
def test_is_the_least_over_t(losses, alpha):
    """The objective is convex, linear between the losses, so it is least at one of them."""
    column = torch.tensor(losses, dtype=torch.float64)
    expected = min(
        t + sum(max(loss - t, 0) for loss in losses) / (alpha * len(losses)) for t in losses
    )
    assert cvar(column, alpha=alpha).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("alpha", "weights"),
    [
        (0.4, [0, 0.5, 0, 0.5, 0]),
        (0.5, [0, 0.4, 0, 0.4, 0.2]),
        (1.0, [0.2] * 5),
        (0.1, [0, 0, 0, 1, 0]),
    ],
)
def test_gradient_is_the_weight_of_each_loss(alpha, weights):
    """1 / (alpha N) for the worst, what is left for the next, nothing for the others; sum 1."""
    losses = LOSSES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cvar(losses, alpha=alpha), losses)
    assert gradient.tolist() == pytest.approx(weights)


@pytest.mark.parametrize(
    ("losses", "alpha", "weights"),
    [
        ([1.0] * 6, 0.5, [1 / 3] * 3 + [0] * 3),
        ([1.0] * 5, 0.5, [0.4, 0.4, 0.2, 0, 0]),
        ([2.0, 1.0, 1.0, 1.0, 1.0, 0, 0, 0, 0, 0], 0.4, [0.25] * 4 + [0] * 6),
    ],
)
def test_none_of_equal_losses_weighs_more_than_its_share(losses, alpha, weights):
    """1 / (alpha N) is the greatest weight; which of equal losses have it is left open."""
    column = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(cvar(column, alpha=alpha), column)
    assert sorted(gradient.tolist(), reverse=True) == pytest.approx(weights)


def test_a_threshold_truncates():
    """t = 1.5 and alpha = 1: 1.5 + (1.5 + 2.5 + 0.5) / 5; the three losses above have gradient."""
    losses = LOSSES.clone().requires_grad_()
    value = cvar(losses, alpha=1.0, threshold=1.5)
    assert value.item() == pytest.approx(2.4)
    assert torch.autograd.grad(value, losses)[0].tolist() == pytest.approx([0, 0.2, 0, 0.2, 0.2])


def test_no_threshold_is_better_than_the_best():
    for threshold in (0.0, 0.7, 2.5, 3.9):
        assert cvar(LOSSES, alpha=0.5, threshold=threshold).item() > cvar(LOSSES, alpha=0.5).item()


@pytest.mark.parametrize("alpha", [0.0, 10.0])
def test_refuses_what_is_no_fraction(alpha):
    with pytest.raises(ValueError, match=rf"alpha must lie in \(0, 1\] for CVaR; got {alpha}"):
        cvar(LOSSES, alpha=alpha)


def test_properties():
    half = partial(cvar, alpha=0.5)
    assert_permutation_invariant(half, LOSSES)
    assert_pure(half, LOSSES)
    assert_differentiable(half, LOSSES)
    assert_one_graph(half, LOSSES)
    assert_read_in_float32(half, LOSSES)


def test_computes_in_float32():
    """512 losses of 3 and one of 1 in bfloat16, which has none in (2.98, 3): mean 1537/513."""
    value = cvar(torch.tensor([3.0] * 512 + [1.0], dtype=torch.bfloat16), alpha=1.0)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(1537 / 513, rel=1e-6)


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path):
    """The worst losses are all on rank 0: the mean of each rank's own CVaR would differ."""
    ranks = found_by_both(two.on_rank, tmp_path)
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    value = cvar(two.losses(weight), alpha=0.35)
    value.backward()
    for rank in ranks:
        torch.testing.assert_close(rank["cvar"], value.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        (ranks[0]["gradient"] + ranks[1]["gradient"]) / 2, weight.grad, rtol=1e-9, atol=1e-12
    )
    own = [cvar(two.losses(weight)[shard], alpha=0.35).item() for shard in two.SHARDS]
    assert sum(own) / 2 != pytest.approx(value.item(), rel=1e-2)
