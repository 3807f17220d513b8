"""Pairs of samples of a batch: how similar they are, which share the class but not the bias."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.hsic import linear_kernel


def cosine_similarities(features: Tensor) -> Tensor:
    r"""``(m, m)`` cosines :math:`x_i^\top x_j / (\lVert x_i \rVert \lVert x_j \rVert)` of features.

    Args:
        features: ``(m, ...)`` float, flattened from the second axis on.

    Returns:
        float32 at least, computed with autocast disabled.

    Example:
        >>> cosine_similarities(torch.tensor([[2.0, 0.0], [3.0, 4.0]])).round(decimals=2)
        tensor([[1.0000, 0.6000],
                [0.6000, 1.0000]])
    """
    rows = features.flatten(1)
    return linear_kernel(
        F.normalize(rows.to(torch.promote_types(rows.dtype, torch.float32)), dim=1)
    )


def across_biases(target: Tensor, bias: Tensor) -> Tensor:
    """``(m, m)`` bool: whether two samples have the same class and different, known biases.

    Args:
        target: ``(m,)`` int64 class.
        bias: ``(m,)`` int64, -1 where unknown.
    """
    known = bias >= 0
    return (target[:, None] == target) & (bias[:, None] != bias) & known[:, None] & known


def itself(matrix: Tensor) -> Tensor:
    """``(m, m)`` bool: the diagonal of an ``(m, m)`` matrix, on its device."""
    return torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)
