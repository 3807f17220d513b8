"""Class scores from a model that has one logit for every pair of class and bias value."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def head_average(logits: Tensor) -> Tensor:
    r"""Class scores as the mean logits of the heads, where each bias value has one head.

    .. math:: s_y = \frac{1}{B} \sum_b f_{yb}

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation.

    Args:
        logits: ``(N, K, B)`` float, the logits of B heads for K classes or labels.

    Returns:
        ``(N, K)`` float32 at least. Their softmax is the normalised geometric mean of the heads'
        probabilities.

    Differs from the reference: it uses the sum, which predicts the same class. But the softmax or
    sigmoid of a sum can be more confident than every head.
    """
    return _precise(logits).mean(dim=2)


def head_probability(logits: Tensor, *, multi_label: bool = False) -> Tensor:
    r"""Class scores as the log of the heads' mean probability (log odds for labels).

    .. math:: s_y = \log \bar p_y, \quad
              \bar p_y = \frac{1}{B} \sum_b \mathrm{softmax}(f_{\cdot b})_y
              \qquad\text{or, for labels,}\qquad
              s_l = \log \frac{\bar p_l}{1 - \bar p_l}, \quad
              \bar p_l = \frac{1}{B} \sum_b \sigma(f_{lb})

    where :math:`f_{\cdot b}` are the logits of the head of bias value b.

    Source: Wang et al., CVPR 2020, as :func:`head_average`.

    Args:
        logits: ``(N, K, B)`` float, the logits of B heads for K classes or labels.
        multi_label: whether the K outputs are independent 0/1 labels, not K classes.

    Returns:
        ``(N, K)`` float32 at least. Their softmax (sigmoid for labels) is the mean probability.

    Example:
        >>> heads = torch.tensor([[[0.9, 0.5], [0.1, 0.5]]]).log()
        >>> [round(p, 4) for p in head_probability(heads).exp().flatten().tolist()]
        [0.7, 0.3]
    """
    logits = _precise(logits)
    if multi_label:
        return F.logsigmoid(logits).logsumexp(dim=2) - F.logsigmoid(-logits).logsumexp(dim=2)
    return torch.log_softmax(logits, dim=1).logsumexp(dim=2) - math.log(logits.shape[2])


def joint_score(
    logits: Tensor, *, log_prior: Tensor | None = None, greatest: bool = False
) -> Tensor:
    r"""Class scores from one softmax over all groups: sum or maximum over the bias values.

    .. math:: s_y = \log \sum_b \frac{p(y, b \mid x)}{\pi_{yb}} \qquad\text{or}\qquad
              s_y = \log \max_b \frac{p(y, b \mid x)}{\pi_{yb}}

    If :math:`\pi` holds the training shares of the groups, the scores assume equally frequent
    groups. If :math:`\pi = 1`, they assume the group frequencies of training.

    Source: Wang et al., CVPR 2020, as :func:`head_average`; the correction is that of Saerens et
    al., "Adjusting the Outputs of a Classifier to New a Priori Probabilities", Neural Computation
    2002.

    Args:
        logits: ``(N, K, B)`` float, one per class y and bias value b.
        log_prior: ``(K, B)`` float :math:`\log \pi`, or ``None`` for :math:`\pi = 1`. A group of
            share 0 is left out: its score is 0 in the place of infinity.
        greatest: use the maximum over the bias values, not the sum.

    Returns:
        ``(N, K)`` float32 at least.

    Example:
        >>> joint = torch.tensor([[[0.4, 0.05], [0.3, 0.25]]]).log()
        >>> [round(p, 4) for p in joint_score(joint).exp().flatten().tolist()]
        [0.45, 0.55]
        >>> [round(p, 4) for p in joint_score(joint, greatest=True).exp().flatten().tolist()]
        [0.4, 0.3]
    """
    logits = _precise(logits)
    joint = torch.log_softmax(logits.flatten(1), dim=1).view_as(logits)
    if log_prior is not None:
        joint = joint - log_prior.masked_fill(log_prior == -torch.inf, torch.inf)
    return joint.amax(dim=2) if greatest else joint.logsumexp(dim=2)


def _precise(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
