"""FLAC: pairs of samples get similar features if their bias features differ, and vice versa."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import check_positive
from debias.losses.hsic import squared_distances
from debias.processes import joined_rows


def flac_loss(
    features: Tensor, bias_features: Tensor, target: Tensor, *, exponent: float = 0.5
) -> Tensor:
    r"""FLAC loss: low if pairs with different bias features have similar features, and vice versa.

    Features have the similarity :math:`s_{ij} = 1 / (1 + d_{ij}^a)`, with the distance
    :math:`d_{ij} = \sqrt{\lVert z_i - z_j \rVert^2 + 10^{-6}}`. Bias features have the similarity
    :math:`s^B`, defined in the same way. With :math:`\tau` half-way between the largest and the
    smallest :math:`s^B` of the batch, the loss uses the pairs that contradict the shortcut:

    .. math:: M = \{(i, j): y_i = y_j, s^B_{ij} < \tau\}
              \cup \{(i, j): y_i \ne y_j, s^B_{ij} > \tau\}

    The loss is a Jeffreys divergence of :math:`P_{ij} \propto 1 - s^B_{ij}` and
    :math:`Q_{ij} \propto s_{ij}`, which both sum to 1 over the pairs of a sample i:

    .. math:: L = \frac{1}{|M|} \sum_{(i, j) \in M} (P_{ij} - Q_{ij}) (\log P_{ij} - \log Q_{ij})

    In a process group the batch is the joined batch of all processes, for the value and the
    averaged gradient. Computed in float32 at least, and distances without autocast.

    Source: Sarridis et al., "FLAC: Fairness-Aware Representation Learning by Suppressing
    Attribute-Class Associations", 2023; reference code gsarridis/FLAC.

    Args:
        features: ``(N, D)`` float features of the model. The networks of the reference normalise
            them to length 1, and its loss weights assume this.
        bias_features: ``(N, E)`` float features, also of length 1, of a network that recognises the
            bias. They get no gradient. One-hot bias labels work too.
        target: ``(N,)`` int64 class.
        exponent: a > 0.

    Returns:
        Scalar; 0 if M is empty.

    Raises:
        ValueError: ``exponent`` is not positive.
    """
    check_positive({"exponent": exponent}, of="FLAC")
    same = joined_rows(target)[:, None] == joined_rows(target)
    bias_powers = _log_powers(bias_features.detach(), exponent)
    bias_similarities = torch.sigmoid(-bias_powers)
    threshold = (bias_similarities.max() + bias_similarities.min()) / 2
    pairs = torch.where(same, bias_similarities < threshold, bias_similarities > threshold)
    bias_shares = _log_shares(F.logsigmoid(bias_powers), pairs)
    feature_shares = _log_shares(F.logsigmoid(-_log_powers(features, exponent)), pairs)
    divergences = (bias_shares.exp() - feature_shares.exp()) * (bias_shares - feature_shares)
    return divergences.masked_fill(~pairs, 0).sum() / pairs.sum().clamp(min=1)


def _log_powers(features: Tensor, exponent: float) -> Tensor:
    # log d^a: s = sigmoid(-log d^a) and 1 - s = sigmoid(log d^a) then have finite logarithms
    return exponent / 2 * (squared_distances(joined_rows(features)) + 1e-6).log()


def _log_shares(logs: Tensor, pairs: Tensor) -> Tensor:
    return logs - ((logs.exp() * pairs).sum(dim=1, keepdim=True) + 1e-7).log()
