"""EIIL: divide the samples into two environments that violate the IRM condition most."""

import torch
from torch import Tensor

from debias.errors import InputError
from debias.progress import each


def environment_weights(
    logits: Tensor,
    target: Tensor,
    generator: torch.Generator,
    *,
    steps: int = 10000,
    learning_rate: float = 1e-3,
) -> Tensor:
    r"""Soft membership of each sample in one of the two environments that violate IRMv1 most.

    .. math:: \max_w \tfrac12 \left[ \left(\tfrac1N \sum_i w_i d_i\right)^2
              + \left(\tfrac1N \sum_i (1 - w_i) d_i\right)^2 \right], \qquad
              d_i = \left.\frac{\partial \ell_i(s z_i)}{\partial s}\right|_{s=1}
              = \sum_c (\mathrm{softmax}(z_i)_c - t_{ic})\, z_{ic}

    with :math:`w = \sigma(v)`. v is drawn from a standard normal, and Adam updates it on all
    samples at once. The optimum has :math:`w_i = 1` for :math:`d_i > 0` and 0 for :math:`d_i < 0`,
    or the reverse. With two classes, one environment is then the set of errors. With few steps or a
    small :math:`d_i`, :math:`w_i` keeps its initial value.

    Source: Creager et al., "Environment Inference for Invariant Learning", ICML 2021; reference
    code ecreager/eiil.

    Args:
        logits: ``(N, C)`` float, of the reference model, which should rely on the shortcut as much
            as possible.
        target: ``(N,)`` int64 class index.
        generator: a CPU generator, which draws v.
        steps: number of Adam steps, at least 1.
        learning_rate: learning rate of Adam.

    Returns:
        ``(N,)`` float32 (float64 for float64 logits) in (0, 1), without gradient. Samples above 1/2
        are one environment, the others the second one.

    Raises:
        ValueError: ``target`` is not ``(N,)``, or ``steps`` is less than 1.

    Differs from the reference: the derivative by the scale has a closed form here, instead of a
    second backward pass. The reference has one logit for two classes; a softmax over two logits has
    the same losses and the same d.
    """
    if target.ndim != 1 or steps < 1:
        raise InputError(
            "environments need one class per sample and at least 1 step; got targets of shape "
            f"{tuple(target.shape)} and steps={steps}"
        )
    logits = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
    own = logits.gather(1, target[:, None])[:, 0]
    derivative = (logits.softmax(dim=1) * logits).sum(dim=1) - own
    initial = torch.randn(len(target), generator=generator, dtype=logits.dtype).to(logits.device)
    score = initial.requires_grad_()
    optimizer = torch.optim.Adam([score], lr=learning_rate)
    with torch.enable_grad():
        for _ in each(range(steps), "inferring environments", "step"):
            optimizer.zero_grad()
            (-environment_violation(score.sigmoid(), derivative)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return score.detach().sigmoid()


def environment_violation(weights: Tensor, derivative: Tensor) -> Tensor:
    """The objective of :func:`environment_weights`: mean squared derivative of both risks.

    Args:
        weights: ``(N,)`` in [0, 1], membership w in one environment; 1 - w is that in the other.
        derivative: ``(N,)`` derivative of each loss by a scale on the logits.

    Returns:
        Scalar tensor, at least 0.

    Example:
        >>> weights, derivative = torch.tensor([1.0, 0.0]), torch.tensor([4.0, -2.0])
        >>> environment_violation(weights, derivative)  # (2 ** 2 + (-1) ** 2) / 2
        tensor(2.5000)
    """
    one, other = (weights * derivative).mean(), ((1 - weights) * derivative).mean()
    return (one**2 + other**2) / 2
