"""Echoes: sample weights from how often an echo chamber was wrong about a sample."""

import torch
from torch import Tensor

#: Added to a weight before its inverse is taken, as in the authors' code.
SMALLEST_WEIGHT = 1e-8


def decayed_weights(
    weights: Tensor,
    wrong: Tensor,
    target: Tensor,
    *,
    classes: int,
    decay: float = 0.5,
    threshold: float = 0.5,
) -> Tensor:
    r"""Lower the weight of the samples that the echo chamber gets wrong, in classes that it knows.

    .. math:: v_i \leftarrow \alpha\, v_i \text{ if i is wrong and } e_{y_i} < t, \qquad
              v \leftarrow v / \max_j v_j

    where :math:`e_y` is the share of the samples of class y that are wrong. Other classes keep
    their weights, so that the echo chamber does not forget them.

    Source: Hu et al., "Echoes: Unsupervised Debiasing via Pseudo-bias Labeling in an Echo Chamber",
    2023; reference code isruihu/Echoes.

    Args:
        weights: ``(N,)`` float v, positive.
        wrong: ``(N,)`` bool: whether the echo chamber gets the sample wrong.
        target: ``(N,)`` int64 class of each sample.
        classes: number of classes.
        decay: :math:`\alpha` in (0, 1].
        threshold: t in [0, 1].

    Returns:
        ``(N,)`` float in (0, 1].

    Example:
        >>> wrong, target = torch.tensor([True, False, True]), torch.tensor([0, 0, 1])
        >>> decayed_weights(torch.ones(3), wrong, target, classes=2, threshold=0.75).tolist()
        [0.5, 1.0, 1.0]
    """
    zeros = weights.new_zeros(classes)
    counts = zeros.index_add(0, target, torch.ones_like(weights))
    errors = zeros.index_add(0, target, wrong.to(weights.dtype))
    known = (errors < threshold * counts)[target]
    lowered = torch.where(wrong & known, decay * weights, weights)
    return lowered / lowered.max()


def inverse_weights(weights: Tensor, target: Tensor, *, classes: int) -> Tensor:
    r"""Weights of the target network: the inverse, with equal totals of all classes.

    .. math:: w_i = \frac{u_i}{\max_j u_j}, \qquad
              u_i = \frac{1 / (v_i + 10^{-8})}{\sum_{j: y_j = y_i} 1 / (v_j + 10^{-8})}

    Source: Hu et al. 2023, as in :func:`decayed_weights`.

    Args:
        weights: ``(N,)`` float v in (0, 1].
        target: ``(N,)`` int64 class of each sample.
        classes: number of classes.

    Returns:
        ``(N,)`` float in (0, 1].

    Differs from the reference: it multiplies each class by the product of the other classes'
    totals, which overflows with many classes.

    Example:
        >>> weights, target = torch.tensor([0.5, 1.0, 1.0]), torch.tensor([0, 0, 1])
        >>> [round(w, 3) for w in inverse_weights(weights, target, classes=2).tolist()]
        [0.667, 0.333, 1.0]
    """
    inverse = 1 / (weights + SMALLEST_WEIGHT)
    shares = inverse / weights.new_zeros(classes).index_add(0, target, inverse)[target]
    return shares / shares.max()
