"""The elastic norm of features (ElRep): a penalty on the singular values of a batch."""

import torch
from torch import Tensor

from debias.processes import joined_rows


def elastic_norm(features: Tensor, *, nuclear: float = 1e-3, frobenius: float = 1e-4) -> Tensor:
    r"""Weighted sum of nuclear norm and squared Frobenius norm of the features, divided by N.

    .. math:: L = \frac1N \left( \theta_1 \lVert Z \rVert_* + \theta_2 \lVert Z \rVert_F^2 \right)
              = \frac1N \sum_k \left( \theta_1 \sigma_k + \theta_2 \sigma_k^2 \right)

    where :math:`\sigma_k` are the singular values of the N x D features Z of a batch. The first
    term drives small singular values to 0, and the second shrinks large ones. At a singular value
    of 0, the gradient of the nuclear norm is a subgradient whose singular values are at most 1.

    Source: Wen et al., "Elastic Representation: Mitigating Spurious Correlations for Group
    Robustness", AISTATS 2025; reference code TaoWen0309/ElRep.

    Args:
        features: ``(N, ...)`` float, flattened from the second axis on.
        nuclear: :math:`\theta_1 \ge 0`.
        frobenius: :math:`\theta_2 \ge 0`.

    Returns:
        Scalar, at least float32; gradients are scaled as in :func:`debias.processes.joined_rows`.

    Differs from the reference: Z is the joined batch of all processes. The norms are computed in
    float32 also under autocast.

    Example:
        >>> features = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
        >>> elastic_norm(features, nuclear=1.0, frobenius=1.0).item()  # (3 + 4 + 9 + 16) / 2
        16.0
    """
    rows = features.flatten(1)
    rows = joined_rows(rows.to(torch.promote_types(rows.dtype, torch.float32)))
    with torch.autocast(rows.device.type, enabled=False):
        total = frobenius * rows.square().sum()  # not finite if a feature is not
        if nuclear:
            # NaN and infinity have no singular values: LAPACK raises an error
            finite = torch.where(rows.isfinite(), rows, 0)
            total = total + nuclear * torch.linalg.matrix_norm(finite, ord="nuc")
    return total / len(rows)
