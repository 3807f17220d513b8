"""reverse_gradient: the same values, the gradients times -strength for each pass through it."""

import pytest
import torch
from torch.nn import functional as F

from debias.losses.gradient_reversal import reverse_gradient

ACTIVATION = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)


def test_forward_is_the_identity():
    assert torch.equal(reverse_gradient(ACTIVATION, strength=3.0), ACTIVATION)


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0, -1.0])
def test_backward_is_minus_the_strength(strength):
    """d/dh sum h^2 = 2h, which comes back as -strength * 2h."""
    activation = ACTIVATION.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        reverse_gradient(activation, strength=strength).square().sum(), activation
    )
    torch.testing.assert_close(gradient, -strength * 2 * ACTIVATION)


def test_what_is_above_it_gets_weight_one():
    """L = a * R(w): dL/da = w = 3, dL/dw = -2 * a = -10."""
    below, above = (torch.tensor(value, requires_grad=True) for value in (3.0, 5.0))
    (above * reverse_gradient(below, strength=2.0)).backward()
    assert (above.grad.item(), below.grad.item()) == (3.0, -10.0)


def test_two_in_a_row_restore_the_sign():
    activation = ACTIVATION.clone().requires_grad_()
    twice = reverse_gradient(reverse_gradient(activation, strength=2.0), strength=3.0)
    (gradient,) = torch.autograd.grad(twice.sum(), activation)
    assert gradient.eq(6.0).all()


def test_double_backward():
    """y = R(h): d(y^3)/dh = -s * 3y^2, and its derivative -s * 6y * (-s) = 6 s^2 h."""
    activation = ACTIVATION.clone().requires_grad_()
    loss = reverse_gradient(activation, strength=0.5).pow(3).sum()
    (first,) = torch.autograd.grad(loss, activation, create_graph=True)
    torch.testing.assert_close(first, -1.5 * ACTIVATION.square())
    (second,) = torch.autograd.grad(first.sum(), activation)
    torch.testing.assert_close(second, 6 * 0.25 * ACTIVATION)


def test_per_sample_gradients_by_vmap():
    gradient = torch.func.grad(lambda row: reverse_gradient(row, strength=2.0).square().sum())
    torch.testing.assert_close(torch.func.vmap(gradient)(ACTIVATION), -4 * ACTIVATION)


def test_under_autocast_the_gradient_keeps_the_dtype():
    weight = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = F.linear(ACTIVATION.float(), weight)
        reversed_ = reverse_gradient(hidden, strength=2.0)
    reversed_.sum().backward()
    assert (hidden.dtype, reversed_.dtype, weight.grad.dtype) == (
        torch.bfloat16,
        torch.bfloat16,
        torch.float32,
    )
    assert weight.grad.tolist() == [[-3.0, -2.0], [-3.0, -2.0]]  # -2 * (1 + 0.5), -2 * (-2 + 3)


# the tracer's own doing
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_traces_to_one_graph():
    @torch.compile(fullgraph=True, backend="aot_eager")
    def squares(activation):
        return reverse_gradient(activation, strength=0.5).square().sum()

    activation = ACTIVATION.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(squares(activation), activation)
    torch.testing.assert_close(gradient, -ACTIVATION)
