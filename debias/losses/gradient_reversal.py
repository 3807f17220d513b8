"""Gradient reversal: an adversary minimises its loss, and the layers below it maximise it."""

from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(activation: Tensor, strength: float) -> Tensor:
        """Return a view of the activation, so that autograd calls ``backward`` for it."""
        return activation.view_as(activation)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        """Save the strength for the backward pass."""
        ctx.strength = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient of the activation: the incoming one times ``-strength``."""
        return gradient * -ctx.strength, None


def reverse_gradient(activation: Tensor, *, strength: float = 1.0) -> Tensor:
    r"""Return the activation unchanged; in the backward pass, scale its gradient by ``-strength``.

    .. math:: R(h) = h, \qquad \frac{\partial R}{\partial h} := -\lambda I

    In :math:`L = L_\text{task} + \mathrm{CE}(A(R(h)), b)` the adversary A minimises its
    cross-entropy with weight 1, for any strength. Only the layers that compute h maximise it, with
    weight :math:`\lambda`. In a second derivative, each backward pass through R contributes a
    factor :math:`-\lambda`.

    Source: Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015.

    Args:
        activation: any shape, float.
        strength: :math:`\lambda`. 0 makes the gradient zero, and a negative value helps the
            adversary. The caller may schedule it.

    Returns:
        A view of ``activation``.

    Example:
        >>> h = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> reverse_gradient(h, strength=0.5).square().sum().backward()  # -0.5 * 2h
        >>> h.grad.tolist()
        [-1.0, -2.0]
    """
    apply: Any = _Reversal.apply  # typed in some releases of torch and not in others
    reversed_: Tensor = apply(activation, strength)
    return reversed_
