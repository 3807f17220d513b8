"""The penalties on logits: by hand, their gradients, and what an absent class does."""

import pytest
import torch

from debias.losses.spectral_decoupling import shifted_spectral_decoupling, spectral_decoupling
from tests.properties import (
    assert_differentiable,
    assert_finite_on_hard_logits,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)

LOGITS = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([0, 1, 1, 1, 0, 1])
SHIFTS = torch.tensor([0.5, 2.0], dtype=torch.float64)


def test_by_hand():
    """Squared norms 25 and 1: their mean is 13, half of it 6.5."""
    assert spectral_decoupling(torch.tensor([[3.0, 4.0], [0.0, 1.0]])).item() == 6.5


def test_gradient_is_the_logits_over_the_batch():
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(spectral_decoupling(logits), logits)
    torch.testing.assert_close(gradient, LOGITS / 6)


def test_domainbeds_penalty_is_this_one_times_2_over_the_classes():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(spectral_decoupling(logits) * 2 / 5, logits.square().mean())


def test_shifted_by_hand():
    """Differences 1 and 3 in class 0, shift 1/2: (1/4 + 25/4) / 2 = 3.25. Difference 0 in class 1,
    shift 2: 4.
    """
    logits = torch.tensor([[0.0, 1.0], [1.0, 4.0], [7.0, 7.0]])
    found = shifted_spectral_decoupling(logits, torch.tensor([0, 0, 1]), shifts=SHIFTS.float())
    assert found.item() == pytest.approx((3.25 + 4) / 2)


def test_shifted_is_least_at_the_shifts():
    logits = torch.tensor([[1.0, 1.5], [-3.0, -1.0]], dtype=torch.float64, requires_grad=True)
    found = shifted_spectral_decoupling(logits, torch.tensor([0, 1]), shifts=SHIFTS)
    assert found.item() == 0.0
    assert torch.autograd.grad(found, logits)[0].eq(0).all()


def test_shifted_weighs_the_classes_alike_whatever_their_number():
    """A class's samples repeated change nothing, and an absent class contributes nothing."""
    once = shifted_spectral_decoupling(LOGITS, TARGET, shifts=SHIFTS)
    of_zero, of_one = LOGITS[TARGET == 0], LOGITS[TARGET == 1]
    more = shifted_spectral_decoupling(
        torch.cat([of_zero, of_zero, of_one]), torch.tensor([0] * 4 + [1] * 4), shifts=SHIFTS
    )
    torch.testing.assert_close(more, once)
    alone = [
        shifted_spectral_decoupling(of_zero, torch.zeros(2, dtype=torch.int64), shifts=SHIFTS),
        shifted_spectral_decoupling(of_one, torch.ones(4, dtype=torch.int64), shifts=SHIFTS),
    ]
    torch.testing.assert_close(alone[0] + alone[1], once)


def test_properties():
    def shifted(logits, target):
        return shifted_spectral_decoupling(logits, target, shifts=SHIFTS)

    for penalty, columns in ((spectral_decoupling, (LOGITS,)), (shifted, (LOGITS, TARGET))):
        assert_permutation_invariant(penalty, *columns)
        assert_pure(penalty, *columns)
        assert_one_graph(penalty, *columns)
        assert_differentiable(penalty, *columns)
    assert_read_in_float32(spectral_decoupling, LOGITS)
    assert_finite_on_hard_logits(lambda logits, target: spectral_decoupling(logits))
    assert_finite_on_hard_logits(shifted)


def test_computes_in_float32():
    """Logits of 300 in float16: their square, 90,000, is infinite there."""
    penalty = spectral_decoupling(torch.full((1, 2), 300.0, dtype=torch.float16))
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(90_000)
