"""Gradient reversal: what lowers an adversary's loss above it raises the same loss below it."""

from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(activation: Tensor, strength: float) -> Tensor:
        """The activation, as a tensor of its own."""
        return activation.view_as(activation)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        """Remember the strength."""
        ctx.strength = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient times ``-strength``."""
        return gradient * -ctx.strength, None


def reverse_gradient(activation: Tensor, *, strength: float = 1.0) -> Tensor:
    r"""The activation as it is; going back, its gradient times ``-strength``.

    .. math:: R(h) = h, \qquad \frac{\partial R}{\partial h} := -\lambda I

    In :math:`L = L_\text{task} + \mathrm{CE}(A(R(h)), b)` the adversary A descends on its
    cross-entropy with weight 1 whatever the strength; only what computes h climbs it, with weight
    :math:`\lambda`. The second derivative through it is that of a network whose backward pass is
    the above: each pass through R contributes :math:`-\lambda`.

    Source: Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015.

    Args:
        activation: any shape, float.
        strength: :math:`\lambda`; 0 cuts the gradient to zero, a negative value helps the
            adversary. A schedule is the caller's.

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
