"""FLAC: features are as alike as bias features are not, on pairs that break the shortcut."""

import torch
from torch import Tensor

from debias.errors import check_positive
from debias.losses.hsic import squared_distances
from debias.processes import joined_rows


def flac_loss(
    features: Tensor, bias_features: Tensor, target: Tensor, *, exponent: float = 0.5
) -> Tensor:
    r"""Jeffreys divergence of two distributions over each sample's pairs; 0 without such a pair.

    With :math:`s_{ij} = 1 / (1 + d_{ij}^a)` of Euclidean distances
    :math:`d_{ij} = \sqrt{\lVert z_i - z_j \rVert^2 + 10^{-6}}` between features, :math:`s^B`
    likewise between bias features, and :math:`\tau` half-way between the greatest and the least
    :math:`s^B` of the batch, the pairs are

    .. math:: M = \{(i, j): y_i = y_j, s^B_{ij} < \tau\}
              \cup \{(i, j): y_i \ne y_j, s^B_{ij} > \tau\}

    and with :math:`P_{ij} \propto 1 - s^B_{ij}` and :math:`Q_{ij} \propto s_{ij}`, each of sum 1
    over the pairs of a sample i,

    .. math:: L = \frac{1}{|M|} \sum_{(i, j) \in M} (P_{ij} - Q_{ij}) (\log P_{ij} - \log Q_{ij})

    In a process group the batch is that of all processes, in value and in averaged gradient.
    Computed in float32 at least, with autocast off where it matters.

    Source: Sarridis et al., "FLAC: Fairness-Aware Representation Learning by Suppressing
    Attribute-Class Associations", 2023; reference code gsarridis/FLAC.

    Args:
        features: ``(N, D)`` float, of the model; the reference's are of length 1, as its networks
            normalise them, and its weights of the loss belong to these.
        bias_features: ``(N, E)`` float, likewise of length 1, of a network that knows the bias;
            they receive no gradient. One-hot bias labels will do as well.
        target: ``(N,)`` int64 class.
        exponent: a > 0.

    Returns:
        Scalar.

    Raises:
        ValueError: an exponent that is not positive.
    """
    check_positive({"exponent": exponent}, of="FLAC")
    same = joined_rows(target)[:, None] == joined_rows(target)
    of_bias = _similarities(bias_features.detach(), exponent)
    threshold = (of_bias.max() + of_bias.min()) / 2
    pairs = torch.where(same, of_bias < threshold, of_bias > threshold)
    wanted = _shares(1 - of_bias, pairs)
    found = _shares(_similarities(features, exponent), pairs)
    divergences = (wanted - found) * (wanted.log() - found.log())
    return divergences.masked_fill(~pairs, 0).sum() / pairs.sum().clamp(min=1)


def _similarities(features: Tensor, exponent: float) -> Tensor:
    # the root has no gradient at 0, where a sample meets itself
    distances = (squared_distances(joined_rows(features)) + 1e-6).sqrt()
    return 1 / (1 + distances**exponent)


def _shares(values: Tensor, pairs: Tensor) -> Tensor:
    return values / ((values * pairs).sum(dim=1, keepdim=True) + 1e-7)
