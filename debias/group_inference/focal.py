"""Sample weights that grow where an earlier model gave the class little probability."""

import torch
from torch import Tensor

from debias.errors import InputError


def focal_weights(logits: Tensor, target: Tensor, *, gamma: float | Tensor) -> Tensor:
    r"""Weight of each sample, larger where an earlier model doubts its class.

    .. math:: w_i \propto \frac{1}{n_{y_i}} \exp(-\gamma\, p_{i,y_i}), \qquad
              \frac{1}{N} \sum_i w_i = 1

    where :math:`p` is the softmax of the logits and :math:`n_y` how many of the samples have class
    y.

    Source: Qiu et al., "Simple and Fast Group Robustness by Automatic Feature Reweighting" (AFR),
    ICML 2023; reference code AndPotap/afr.

    Args:
        logits: ``(N, C)`` float, of the earlier model.
        target: ``(N,)`` int64 class index.
        gamma: at least 0: a number, or ``(H,)`` for H weightings. With 0 the classes are balanced
            and no more.

    Returns:
        ``(N,)`` float32 (float64 for float64 logits), or ``(H, N)``; the mean is one.

    Raises:
        ValueError: a gamma below 0, or targets that are not one class per sample.

    Example:
        >>> focal_weights(torch.zeros(3, 2), torch.tensor([0, 0, 1]), gamma=0.0).tolist()
        [0.75, 0.75, 1.5]

    Differs from the reference: weights have mean one, not sum one, so that their mean loss is the
    paper's weighted sum. They are a softmax over the samples, which no gamma drives to underflow.
    """
    if target.ndim != 1 or len(target) != len(logits):
        raise InputError(
            f"focal weights need one class per sample; got targets of shape {tuple(target.shape)} "
            f"for {len(logits)} rows of logits"
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    gamma = torch.as_tensor(gamma, dtype=logits.dtype, device=logits.device)
    if bool((gamma < 0).any()):
        raise InputError(
            "gamma must be at least 0, or samples that are easy would count most; got "
            f"{gamma.tolist()}"
        )
    chosen = logits.softmax(dim=1).gather(1, target[:, None])[:, 0]
    counts = torch.bincount(target)[target].to(logits.dtype)
    return torch.softmax(-gamma[..., None] * chosen - counts.log(), dim=-1) * len(target)
