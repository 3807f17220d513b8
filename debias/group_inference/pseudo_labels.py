"""Choose the pseudo-labels to train on: every group gets at most as many as the smallest one."""

import torch
from torch import Tensor


def balanced_pseudo_labels(
    confidence: Tensor, group: Tensor, labelled: Tensor, *, threshold: float = 0.95
) -> Tensor:
    r"""Mark the samples whose confidence reaches the threshold of their pseudo-group.

    The group :math:`g^*` with the fewest labelled samples has the given threshold :math:`\tau`.
    The threshold of every other group is the smallest one that keeps the group as small:

    .. math:: \tau_g = \min \{ t : n_g + m_g(t) \le n_{g^*} + m_{g^*}(\tau) \}, \qquad
              m_g(t) = |\{i : g_i = g,\ c_i \ge t\}|

    where n counts labelled samples. If several groups have equally few labelled samples,
    :math:`g^*` is the one with the fewest confident pseudo-labels. No sample is marked in a group
    whose labelled samples alone exceed the bound. A group without labelled samples is no
    :math:`g^*`, and none of its samples is marked.

    Source: Nam et al., "Spread Spurious Attribute: Improving Worst-group Accuracy with Spurious
    Attribute Estimation", ICLR 2022.

    Args:
        confidence: ``(M,)`` float in [0, 1], probability of each pseudo-label.
        group: ``(M,)`` int64 pseudo-group in [0, G).
        labelled: ``(G,)`` int64, number of labelled samples of each group.
        threshold: :math:`\tau` in [0, 1].

    Returns:
        ``(M,)`` bool, true for the samples to train on.

    Example:
        >>> confidence = torch.tensor([0.99, 0.96, 0.9, 0.8, 0.7])
        >>> group, labelled = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([1, 2])
        >>> balanced_pseudo_labels(confidence, group, labelled).tolist()
        [True, True, True, False, False]
    """
    sure = torch.bincount(group[confidence >= threshold], minlength=len(labelled))
    size = labelled * (len(group) + 1) + sure
    smallest = int(torch.where(labelled > 0, size, size.max() + 1).argmin())
    room = torch.where(labelled > 0, labelled[smallest] + sure[smallest] - labelled, 0)
    # a threshold at a sample's confidence also admits every sample that is at least as confident
    keys = torch.stack([group.double(), -confidence.double()], dim=1)
    _, place, counts = torch.unique(keys, dim=0, return_inverse=True, return_counts=True)
    sizes = torch.bincount(group, minlength=len(labelled))
    rank = counts.cumsum(0)[place] - (sizes.cumsum(0) - sizes)[group]
    return torch.where(group == smallest, confidence >= threshold, rank <= room[group])
