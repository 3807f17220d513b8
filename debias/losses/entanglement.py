"""The two loss terms of EnD: disentangle bias values, and entangle the samples of a class."""

import torch
from torch import Tensor

from debias.losses.group_means import members
from debias.losses.supervised_contrastive import across_biases, itself


def disentangling_loss(
    similarities: Tensor, bias: Tensor, *, biases: int, cancelling: bool = True
) -> Tensor:
    r"""Average absolute similarity of samples with the same bias value; EnD minimises it.

    .. math:: \frac{\sum_b \left| \sum_{i \ne j,\, b_i = b_j = b} G_{ij} \right|}
              {\sum_b n_b (n_b - 1)}
              \qquad\text{or}\qquad
              \frac{\sum_b \sum_{i \ne j,\, b_i = b_j = b} \left| G_{ij} \right|}
              {\sum_b n_b (n_b - 1)}

    Source: Tartaglione et al., "EnD: Entangling and Disentangling deep representations for bias
    correction", CVPR 2021; reference code EIDOSLAB/entangling-disentangling-bias.

    Args:
        similarities: ``(m, m)`` float G of cosines, such as those of
            :func:`debias.losses.supervised_contrastive.cosine_similarities`.
        bias: ``(m,)`` int64 in [0, biases); -1 leaves the sample out.
        biases: number of bias values.
        cancelling: use the first form, that of the code. In it, similar and opposite pairs of one
            bias value cancel. The second form is 0 only if every pair is orthogonal. Both agree
            for features that are not negative, as after a ReLU.

    Returns:
        Scalar in [0, 1]; 0 if no two samples have the same bias value.

    Example:
        >>> similarities = torch.tensor([[1.0, 0.5, -0.5], [0.5, 1.0, -0.3], [-0.5, -0.3, 1.0]])
        >>> bias = torch.tensor([0, 0, 0])
        >>> loss = disentangling_loss(similarities, bias, biases=1)
        >>> round(loss.item(), 4)  # |0.5 - 0.5 - 0.3| / 3
        0.1
        >>> round(disentangling_loss(similarities, bias, biases=1, cancelling=False).item(), 4)
        0.4333
    """
    has = members(bias, biases).to(similarities.dtype)
    pairs = similarities.masked_fill(itself(similarities), 0.0)
    with torch.autocast(pairs.device.type, enabled=False):
        sums = (has * ((pairs if cancelling else pairs.abs()) @ has)).sum(dim=0)
    counts = has.sum(dim=0)
    return sums.abs().sum() / (counts * (counts - 1)).sum().clamp(min=1)


def entangling_loss(similarities: Tensor, target: Tensor, bias: Tensor) -> Tensor:
    r"""Average dissimilarity of same-class samples with different bias values; EnD minimises it.

    .. math:: 1 - \frac{1}{|P|} \sum_{(i, j) \in P} \frac{1 + G_{ij}}{2}, \qquad
              P = \{(i, j) : y_i = y_j,\; b_i \ne b_j\}

    Source: Tartaglione et al., CVPR 2021, as :func:`disentangling_loss`.

    Args:
        similarities: ``(m, m)`` float G of cosines, such as those of
            :func:`debias.losses.supervised_contrastive.cosine_similarities`.
        target: ``(m,)`` int64 class.
        bias: ``(m,)`` int64; -1 leaves the sample out.

    Returns:
        Scalar in [0, 1]; 0 if P is empty.

    Differs from the reference: the mean is over all pairs in P. The reference cuts the mask of each
    ordered pair of bias values to the lower triangle. This drops about half of the pairs, depending
    on their positions in the batch.

    Example:
        >>> similarities = torch.tensor([[1.0, 0.5, -0.5], [0.5, 1.0, -0.3], [-0.5, -0.3, 1.0]])
        >>> target, bias = torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])
        >>> round(entangling_loss(similarities, target, bias).item(), 4)
        0.75
    """
    pairs = across_biases(target, bias)
    return (torch.where(pairs, 1 - similarities, 0.0) / 2).sum() / pairs.sum().clamp(min=1)
