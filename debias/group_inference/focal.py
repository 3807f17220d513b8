"""Sample weights that are larger where an earlier model gave the true class less probability."""

import torch
from torch import Tensor

from debias.errors import InputError


def focal_weights(logits: Tensor, target: Tensor, *, gamma: float | Tensor) -> Tensor:
    r"""Weight of each sample: larger if an earlier model gives its true class less probability.

    .. math:: w_i \propto \frac{1}{n_{y_i}} \exp(-\gamma\, p_{i,y_i}), \qquad
              \frac{1}{N} \sum_i w_i = 1

    where :math:`p` is the softmax of the logits, and :math:`n_y` is the number of samples of class
    y.

    Source: Qiu et al., "Simple and Fast Group Robustness by Automatic Feature Reweighting" (AFR),
    ICML 2023; reference code AndPotap/afr.

    Args:
        logits: ``(N, C)`` float, of the earlier model.
        target: ``(N,)`` int64 class index.
        gamma: at least 0: a number, or ``(H,)`` for H sets of weights. With 0 the weights only
            balance the classes.

    Returns:
        ``(N,)`` float32 (float64 for float64 logits), or ``(H, N)``; each set has mean 1.

    Raises:
        ValueError: a value of ``gamma`` is below 0, or ``target`` is not ``(N,)``.

    Example:
        >>> focal_weights(torch.zeros(3, 2), torch.tensor([0, 0, 1]), gamma=0.0).tolist()
        [0.75, 0.75, 1.5]

    Differs from the reference: the weights have mean 1 instead of sum 1, so the mean of the
    weighted losses is the paper's weighted sum. They are computed as a softmax over the samples, so
    a large gamma does not make all of them underflow.
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
            f"gamma must be at least 0; got gamma={gamma.tolist()}: a negative value would weight "
            "easy samples most"
        )
    chosen = logits.softmax(dim=1).gather(1, target[:, None])[:, 0]
    counts = torch.bincount(target)[target].to(logits.dtype)
    return torch.softmax(-gamma[..., None] * chosen - counts.log(), dim=-1) * len(target)
