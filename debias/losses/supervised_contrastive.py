"""Supervised contrastive learning: pull positive pairs together, push other pairs apart."""

import torch
from torch import Tensor

from debias.errors import check_between, check_positive
from debias.losses.hsic import linear_kernel

#: Largest value of 1 - cosine that is treated as 0, because it is float32 rounding.
ROUNDING = 1e-6


def supervised_contrastive_losses(
    similarities: Tensor, positive: Tensor, *, temperature: float = 0.07
) -> Tensor:
    r"""Contrastive loss of each sample: low if it is more similar to its positives than to others.

    .. math:: \ell_i = -\frac{1}{\sum_{j \ne i} w_{ij}} \sum_{j \ne i} w_{ij} \log
              \frac{\exp(G_{ij} / \tau)}{\sum_{k \ne i} \exp(G_{ik} / \tau)}, \qquad
              \ell_i = 0 \text{ where all } w_{ij} = 0

    The positives of sample i are the samples j with :math:`w_{ij} > 0`. Weights of 0 and 1 give the
    plain mean over its positives.

    Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020 (the variant with the sum
    outside of the logarithm), there with :math:`w_{ij} = 1` for all others of the same class. With
    other weights: Hong & Yang, "Unbiased Classification through Bias-Contrastive and Bias-Balanced
    Learning" (SoftCon), NeurIPS 2021.

    Args:
        similarities: ``(m, m)`` float G, m at least 2, such as :func:`cosine_similarities`.
        positive: ``(m, m)`` bool, or float weights :math:`w_{ij} \ge 0`, such as those of
            :func:`soft_positives`; the diagonal is ignored.
        temperature: :math:`\tau > 0`.

    Returns:
        ``(m,)`` float32 at least.

    Raises:
        ValueError: ``temperature`` is not positive.

    Example:
        >>> pair, other = [True, True, False], [False, False, True]
        >>> positives = torch.tensor([pair, pair, other])
        >>> supervised_contrastive_losses(torch.zeros(3, 3), positives)  # the last has none
        tensor([0.6931, 0.6931, 0.0000])
    """
    log_share = _log_shares(similarities, temperature)
    weights = torch.where(~itself(log_share), positive, 0).to(log_share.dtype)
    total = weights.sum(dim=1)
    losses = torch.where(weights > 0, -log_share * weights, 0.0).sum(dim=1)
    return losses / torch.where(total > 0, total, 1.0)


def generalized_contrastive_losses(
    similarities: Tensor, positive: Tensor, *, q: float = 0.7, temperature: float = 0.2
) -> Tensor:
    r"""Contrastive loss in which similar positives count more, which amplifies a shortcut.

    .. math:: \ell_i = -\frac{1}{|P_i|} \sum_{j \in P_i} q\, \mathrm{sg}[p_{ij}^q] \log p_{ij},
              \qquad p_{ij} = \frac{\exp(G_{ij} / \tau)}{\sum_{k \ne i} \exp(G_{ik} / \tau)},
              \qquad \ell_i = 0 \text{ where } P_i \text{ is empty}

    where sg stops the gradient, and :math:`P_i` are the positives of sample i. It is to supervised
    contrast what :func:`debias.losses.generalized_cross_entropy.generalized_cross_entropy` in its
    scaled form is to cross-entropy.

    Source: Hwang et al., "SelecMix: Debiased Learning by Contradicting-pair Sampling", NeurIPS
    2022; reference code bluemoon010/SelecMix.

    Args:
        similarities: ``(m, m)`` float G, m at least 2, such as :func:`cosine_similarities`.
        positive: ``(m, m)`` bool; the diagonal is ignored.
        q: in (0, 1].
        temperature: :math:`\tau > 0`.

    Returns:
        ``(m,)`` float32 at least.

    Raises:
        ValueError: ``q`` is outside (0, 1], or ``temperature`` is not positive.

    Example:
        >>> pair, other = [True, True, False], [False, False, True]
        >>> positives = torch.tensor([pair, pair, other])
        >>> losses = generalized_contrastive_losses(torch.zeros(3, 3), positives, q=1.0)
        >>> losses.abs()  # log(2) / 2; the last has no positive
        tensor([0.3466, 0.3466, 0.0000])
    """
    check_between("(0, 1]", {"q": q}, of="a contrast")
    log_share = _log_shares(similarities, temperature)
    pairs = positive & ~itself(log_share)
    log_share = torch.where(pairs, log_share, 0.0)
    weights = q * torch.exp(q * log_share.detach())
    return -(weights * log_share).sum(dim=1) / pairs.sum(dim=1).clamp(min=1)


def view_contrastive_losses(first: Tensor, second: Tensor, *, temperature: float = 0.5) -> Tensor:
    r"""Contrastive loss of two views of each sample: its other view is its only positive (NT-Xent).

    .. math:: \ell_i = -\log \frac{\exp(\cos(q_i, q_{i'}) / \tau)}
              {\sum_{k \ne i} \exp(\cos(q_i, q_k) / \tau)}

    i and i' are the two views of a sample. The sum is over all other views of the batch.

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations"
    (SimCLR), ICML 2020.

    Args:
        first: ``(N, D)`` float embeddings q of one view of each sample.
        second: ``(N, D)`` float embeddings of its other view.
        temperature: :math:`\tau > 0`.

    Returns:
        ``(2 N,)`` float32 at least: the losses of the first views, then those of the second.

    Raises:
        ValueError: ``temperature`` is not positive.

    Example:
        >>> views = torch.eye(2)  # log(1 + 2 / e)
        >>> view_contrastive_losses(views, views, temperature=1.0)
        tensor([0.5514, 0.5514, 0.5514, 0.5514])
    """
    sample = torch.arange(len(first), device=first.device).repeat(2)
    similarities = cosine_similarities(torch.cat([first, second]))
    return supervised_contrastive_losses(
        similarities, sample[:, None] == sample, temperature=temperature
    )


def _log_shares(similarities: Tensor, temperature: float) -> Tensor:
    """``(m, m)`` logarithm of p: the softmax of each row over the other samples."""
    check_positive({"temperature": temperature}, of="a contrast")
    scores = similarities.to(torch.promote_types(similarities.dtype, torch.float32)) / temperature
    others = torch.where(itself(scores), -torch.inf, scores)
    return scores - others.logsumexp(dim=1, keepdim=True)


def soft_positives(target: Tensor, bias_features: Tensor) -> Tensor:
    r"""Weights of same-class pairs, larger for pairs with less similar bias features (SoftCon).

    .. math:: w_{ij} = 1[y_i = y_j]\,
              \Big(1 - \frac{b_i^\top b_j}{\lVert b_i \rVert \lVert b_j \rVert}\Big)

    Source: Hong & Yang, NeurIPS 2021 (SoftCon); reference code grayhong/bias-contrastive-learning.

    Args:
        target: ``(m,)`` int64 class.
        bias_features: ``(m, D)`` float features :math:`b_i` of a network that recognises the bias.

    Returns:
        ``(m, m)`` float32 at least, in [0, 2]; without gradient.

    Differs from the reference: a distance of at most 1e-6, which rounding gives to equal features,
    is set to 0.

    Example:
        >>> bias_features = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> soft_positives(torch.tensor([0, 0, 1]), bias_features)
        tensor([[0., 1., 0.],
                [1., 0., 0.],
                [0., 0., 0.]])
    """
    apart = 1 - cosine_similarities(bias_features.detach())
    return torch.where((target[:, None] == target) & (apart > ROUNDING), apart, 0.0)


def cosine_similarities(features: Tensor) -> Tensor:
    r"""``(m, m)`` cosines :math:`x_i^\top x_j / (\lVert x_i \rVert \lVert x_j \rVert)` of features.

    Args:
        features: ``(m, ...)`` float, flattened from the second axis on. Those of length 0 have the
            cosine 0, and gradients as if their length were 1.

    Returns:
        float32 at least, computed with autocast disabled.

    Example:
        >>> cosine_similarities(torch.tensor([[2.0, 0.0], [3.0, 4.0]])).round(decimals=2)
        tensor([[1.0000, 0.6000],
                [0.6000, 1.0000]])
    """
    rows = features.flatten(1)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return linear_kernel(rows / torch.where(lengths > 0, lengths, 1))


def across_biases(target: Tensor, bias: Tensor) -> Tensor:
    """``(m, m)`` bool: whether two samples have the same class and different known bias values.

    Args:
        target: ``(m,)`` int64 class.
        bias: ``(m,)`` int64 bias value; -1 if unknown.
    """
    labelled = bias >= 0
    differ = (bias[:, None] != bias) & labelled[:, None] & labelled
    return (target[:, None] == target) & differ


def itself(matrix: Tensor) -> Tensor:
    """``(m, m)`` bool mask of the pairs of a sample with itself: the diagonal of ``matrix``."""
    return torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)
