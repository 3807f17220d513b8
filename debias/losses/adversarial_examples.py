"""Adversarial examples: small changes of the pixels that raise a loss."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError

NORMS = ("linf", "l2")


class Ball(NamedTuple):
    r"""The changes :math:`\delta` of an image that an adversary may make.

    .. math:: \lVert \delta \rVert \le \epsilon, \qquad 0 \le x + \delta \le 1

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018; reference codes locuslab/fast_adversarial and MadryLab/robustness.

    Attributes:
        norm: "linf", the largest change of a pixel; or "l2", the Euclidean norm of an image's
            change.
        epsilon: :math:`\epsilon \ge 0`, in units of pixels in [0, 1].

    Example:
        >>> pixels, gradient = torch.tensor([[[[0.5, 0.9]]]]), torch.tensor([[[[-2.0, 1.0]]]])
        >>> Ball("linf", 0.2).climb(torch.zeros(1, 1, 1, 2), gradient, pixels, step=0.2)
        tensor([[[[-0.2000,  0.1000]]]])
    """

    norm: str
    epsilon: float

    def climb(self, change: Tensor, gradient: Tensor, pixels: Tensor, *, step: float) -> Tensor:
        r"""Take the steepest step up in this norm, then project to the ball and to [0, 1].

        .. math:: \delta + \alpha\, \mathrm{sign}(g) \quad\text{or}\quad
                  \delta + \alpha\, g / \lVert g \rVert_2

        Args:
            change: ``(N, ...)`` float :math:`\delta`.
            gradient: ``(N, ...)`` float g of the loss with respect to ``change``.
            pixels: ``(N, ...)`` float images x in [0, 1].
            step: :math:`\alpha`, in units of pixels in [0, 1].

        Returns:
            ``(N, ...)`` float.
        """
        direction = gradient.sign() if self.norm == "linf" else _unit(gradient)
        return self.project(change + step * direction, pixels)

    def project(self, change: Tensor, pixels: Tensor) -> Tensor:
        """The change inside the ball, of pixels that stay in [0, 1].

        Args:
            change: as for :meth:`climb`.
            pixels: as there.
        """
        if self.norm == "linf":
            inside = change.clamp(-self.epsilon, self.epsilon)
        else:
            inside = change.renorm(p=2, dim=0, maxnorm=self.epsilon)
        return inside.clamp(-pixels, 1 - pixels)

    def random(self, pixels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        r"""Draw a change: uniform in :math:`[-\epsilon, \epsilon]`, or a random direction.

        In the norm "l2" the change has the length :math:`\epsilon`, until it is cut to [0, 1].

        Args:
            pixels: ``(N, ...)`` float images in [0, 1].
            generator: source of the random numbers; ``None`` is torch's global one.
        """
        change = torch.empty_like(pixels)
        if self.norm == "linf":
            change.uniform_(-self.epsilon, self.epsilon, generator=generator)
        else:
            change = self.epsilon * _unit(change.normal_(generator=generator))
        return change.clamp(-pixels, 1 - pixels)


def perturb(
    losses_of: Callable[[Tensor], Tensor],
    pixels: Tensor,
    change: Tensor,
    *,
    ball: Ball,
    step: float,
    steps: int,
) -> Tensor:
    r"""Projected gradient ascent (PGD): raise the losses by changing the images inside a ball.

    One step from zero of length :math:`\epsilon` is the fast gradient sign method (FGSM). It is
    exact for a linear model.

    Source: as :class:`Ball`; FGSM is that of Goodfellow et al., "Explaining and Harnessing
    Adversarial Examples", ICLR 2015.

    Args:
        losses_of: maps a change ``(N, ...)`` to the ``(N,)`` losses of the changed images. Only the
            gradient with respect to the change is computed.
        pixels: ``(N, ...)`` float images in [0, 1].
        change: ``(N, ...)`` float, the change at the start.
        ball: which changes are allowed.
        step: length of a step, in units of pixels in [0, 1].
        steps: number of steps; 0 returns the start.

    Returns:
        ``(N, ...)`` float change without gradient.

    Raises:
        ValueError: the losses have no gradient by the change.
    """
    for _ in range(steps):
        change = change.detach().requires_grad_()
        with torch.enable_grad():
            loss = losses_of(change).sum()
        gradient = gradients_of(loss, [change])[0] if loss.requires_grad else None
        if gradient is None:
            raise InputError(
                "the losses have no gradient by the pixels, so no attack can be made: compute the "
                "outputs with gradients, and do not detach the images"
            )
        change = ball.climb(change.detach(), gradient, pixels, step=step)
    return change.detach()


def gradients_of(value: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """Gradients of a scalar, ``None`` for an input that it does not depend on.

    Autocast is off, since it would round gradients of float32 computations.
    """
    with torch.autocast(value.device.type, enabled=False):
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
            value, list(inputs), allow_unused=True
        )
    return gradients


def with_gradients(
    value: Tensor, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None]
) -> Tensor:
    """A scalar whose backward pass hands out gradients that are already known.

    A loop that calls its backward pass then computes nothing a second time.

    Args:
        value: the scalar.
        inputs: tensors that require a gradient.
        gradients: the gradient of each input, or ``None``.

    Returns:
        A scalar equal to ``value``, that depends on ``inputs`` alone.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> known = with_gradients(torch.tensor(5.0), [x], [torch.tensor([3.0, 4.0])])
        >>> known.backward()
        >>> known.item(), x.grad.tolist()
        (5.0, [3.0, 4.0])
    """
    apply: Any = _Known.apply  # typed in some releases of torch and not in others
    known: Tensor = apply(value.detach(), tuple(gradients), *inputs)
    return known


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(value: Tensor, gradients: tuple[Tensor | None, ...], *inputs: Tensor) -> Tensor:
        """Return a copy of the value, so that autograd calls ``backward`` for it."""
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the gradients for the backward pass."""
        ctx.gradients = inputs[1]

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        """The known gradients, times the incoming one."""
        return (None, None, *(g if g is None else g * scale for g in ctx.gradients))


def _unit(vectors: Tensor) -> Tensor:
    """Vectors ``(N, ...)`` of length 1 each; a zero vector stays zero."""
    lengths: Tensor = torch.linalg.vector_norm(vectors.flatten(1), dim=1).clamp(min=1e-10)
    return vectors / lengths.view(-1, *[1] * (vectors.ndim - 1))
