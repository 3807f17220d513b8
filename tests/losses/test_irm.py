"""The IRM penalty against hand-derived values, automatic differentiation and its expectation."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from debias.losses.classification import classification_losses
from debias.losses.irm import irm_penalty, scale_gradients
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
)

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(12, 3, generator=GENERATOR, dtype=torch.float64)
CLASSES = torch.randint(3, (12,), generator=GENERATOR)
TARGETS = {
    "classes": CLASSES,
    "probabilities": torch.rand(12, 3, generator=GENERATOR, dtype=torch.float64).softmax(dim=1),
    "labels": torch.randint(2, (12, 3), generator=GENERATOR),
}
ENVIRONMENT = torch.tensor([0, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1])


def derivatives(logits, target, members):
    """By automatic differentiation of the mean loss of some samples."""
    scale = torch.ones((), dtype=logits.dtype, requires_grad=True)
    risk = classification_losses(scale * logits[members], target[members]).mean()
    return torch.autograd.grad(risk, scale, create_graph=True)[0]


@pytest.mark.parametrize("kind", TARGETS)
def test_scale_gradients_are_those_of_automatic_differentiation(kind):
    target = TARGETS[kind]
    expected = torch.stack([derivatives(LOGITS, target, [row]) for row in range(12)])
    torch.testing.assert_close(scale_gradients(LOGITS, target), expected)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("kind", TARGETS)
def test_equals_the_definition_in_value_and_gradient(kind, unbiased):
    """Environment by environment, halves as slices, the derivative by a second backward pass."""
    target, logits = TARGETS[kind], LOGITS.clone().requires_grad_()
    expected = torch.zeros((), dtype=torch.float64)
    for number in range(2):
        rows = (number == ENVIRONMENT).nonzero().flatten()
        halves = (rows[::2], rows[1::2]) if unbiased else (rows, rows)
        expected = (
            expected
            + derivatives(logits, target, halves[0]) * derivatives(logits, target, halves[1]) / 2
        )
    penalty = irm_penalty(logits, target, ENVIRONMENT, 2, unbiased=unbiased)
    torch.testing.assert_close(penalty, expected)
    own, by_hand = (torch.autograd.grad(value, logits)[0] for value in (penalty, expected))
    torch.testing.assert_close(own, by_hand)


def test_hand_derived_value():
    """Logits (x, -x) of class 0 have the derivative d(x) = 2x (sigmoid(2x) - 1). At x = 0 it is 0;
    for halves of x = 1 and x = -1 the penalty is d(1) d(-1) = -4 s(2) (1 - s(2)) < 0, though the
    square of the mean is positive."""
    x = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    logits, target = torch.stack([x, -x], dim=1), torch.zeros(4, dtype=torch.int64)
    sigmoid = torch.tensor(2.0, dtype=torch.float64).sigmoid().item()
    environment = torch.zeros(4, dtype=torch.int64)
    penalty = irm_penalty(logits, target, environment, 1)
    assert penalty.item() == pytest.approx(-4 * sigmoid * (1 - sigmoid))
    square = irm_penalty(logits, target, environment, 1, unbiased=False)
    assert square.item() == pytest.approx((sigmoid - 1 + sigmoid) ** 2)
    assert irm_penalty(0 * logits, target, environment, 1, unbiased=False).item() == 0


def test_halves_are_unbiased_and_the_square_is_not():
    """Over all draws of 4 from 5 samples, with replacement: E[product] = (E d)^2, E[square] adds
    Var(d) / 4.
    """
    x = torch.tensor([0.3, -1.0, 2.0, -0.5, 1.2], dtype=torch.float64)
    pool, target = torch.stack([x, -x], dim=1), torch.zeros(5, dtype=torch.int64)
    d = scale_gradients(pool, target)
    draws = torch.tensor(list(itertools.product(range(5), repeat=4))).flatten()
    environment = torch.arange(5**4).repeat_interleave(4)
    inputs = pool[draws], target[draws], environment, 5**4
    assert irm_penalty(*inputs).item() == pytest.approx(d.mean().item() ** 2)
    expected = d.mean().item() ** 2 + d.var(correction=0).item() / 4
    assert irm_penalty(*inputs, unbiased=False).item() == pytest.approx(expected)


def test_environments_of_less_than_four_contribute_nothing():
    """Environment 1 has three samples, 2 none: the mean is over 0 alone. The square counts both."""
    environment = torch.tensor([0, 1, 0, 0, 1, 0, 1])
    logits, target = LOGITS[:7], CLASSES[:7]
    first = environment == 0
    alone = irm_penalty(logits[first], target[first], environment[first], 1)
    torch.testing.assert_close(irm_penalty(logits, target, environment, 3), alone)
    squares = [
        scale_gradients(logits, target)[environment == number].mean() ** 2 for number in (0, 1)
    ]
    square = irm_penalty(logits, target, environment, 3, unbiased=False)
    torch.testing.assert_close(square, sum(squares) / 2)
    leftover = logits[:3].clone().requires_grad_()
    nothing = irm_penalty(leftover, target[:3], environment[:3], 3)
    assert nothing.item() == 0
    nothing.backward()
    assert leftover.grad is not None
    assert leftover.grad.eq(0).all()


def test_properties():
    def square(logits, target, environment):
        return irm_penalty(logits, target, environment, 2, unbiased=False)

    assert_permutation_invariant(square, LOGITS, CLASSES, ENVIRONMENT)
    assert_pure(square, LOGITS, CLASSES, ENVIRONMENT)
    assert_differentiable(irm_penalty, LOGITS, CLASSES, ENVIRONMENT, 2)


def test_unknown_environments_are_left_out():
    """They shift no sample between the halves, and receive no gradient."""
    environment = torch.where(torch.arange(12) % 6 == 1, -1, ENVIRONMENT)
    known = environment >= 0
    logits = LOGITS.clone().requires_grad_()
    penalty = irm_penalty(logits, CLASSES, environment, 2)
    torch.testing.assert_close(
        penalty, irm_penalty(LOGITS[known], CLASSES[known], environment[known], 2)
    )
    (gradient,) = torch.autograd.grad(penalty, logits)
    assert gradient[~known].eq(0).all()
    assert gradient[known].ne(0).any(dim=1).all()


def test_a_step_against_it_finds_the_scale():
    """An overconfident predictor, right in 3 of 4: d > 0, so that descent on the square shrinks the
    logits to the scale of log 3, where the derivative vanishes."""
    target = torch.tensor([0, 0, 0, 1])
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    for _ in range(300):
        logits = torch.stack([scale, -scale]).expand(4, 2)
        penalty = irm_penalty(logits, target, torch.zeros(4).long(), 1, unbiased=False)
        (gradient,) = torch.autograd.grad(penalty, scale)
        with torch.no_grad():
            scale -= 0.5 * gradient
    assert 2 * scale.item() == pytest.approx(torch.tensor(3.0).log().item(), rel=1e-3)


def test_traces_to_one_graph():
    assert_one_graph(irm_penalty, LOGITS, CLASSES, ENVIRONMENT, 2)


def test_low_precision_logits_are_read_in_float32():
    logits = LOGITS.bfloat16()
    expected = irm_penalty(logits.float(), CLASSES, ENVIRONMENT, 2)
    penalty = irm_penalty(logits, CLASSES, ENVIRONMENT, 2)
    assert penalty.dtype == torch.float32
    torch.testing.assert_close(penalty, expected)
    torch.testing.assert_close(
        scale_gradients(logits, F.one_hot(CLASSES, 3).float()),
        scale_gradients(logits.float(), CLASSES),
    )
