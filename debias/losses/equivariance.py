"""Equivariance of features to integer covariates: one matrix per covariate and direction."""

import torch
from torch import Tensor

from debias.processes import joined_rows


def morphism_loss(features: Tensor, covariates: Tensor, up: Tensor, down: Tensor) -> Tensor:
    r"""Error of the matrices that carry the features of one sample to the covariates of another.

    With the difference :math:`m_c = v_{ic} - v_{jc}` of each of C covariates,

    .. math:: L = \frac{1}{N^2} \sum_{i, j} \frac1D \Big\lVert z_j - z_i \prod_{c=1}^{C} T_c(m_c)
              \Big\rVert^2, \qquad T_c(m) = D_c^m \text{ if } m > 0, \quad
              I \text{ if } m = 0, \quad U_c^{-m} \text{ if } m < 0

    Features are rows, so the first covariate acts first. Pairs of equal covariates must have equal
    features. The powers and products are computed once per distinct difference, and each keeps a
    matrix of :math:`D^2` numbers: 16 MB for 2,048 features. Features of zero have no error: another
    term, such as a classification loss, must forbid them. In a process group the batch is the
    joined batch of all processes. Computed in float32 at least, also under autocast.

    Source: Chytas et al., "Pooling Image Datasets with Multiple Covariate Shift and Imbalance",
    ICLR 2024; reference code SPChytas/CatHarm.

    Args:
        features: ``(N, D)`` float z.
        covariates: ``(N, C)`` int64 v. Large differences give large powers, which may overflow.
        up: ``(C, D, D)`` float U, one step to the next larger value of each covariate.
        down: ``(C, D, D)`` float D, one step to the next smaller value.

    Returns:
        Scalar; gradients are scaled as in :func:`debias.processes.joined_rows`.

    Example:
        >>> features, covariates = torch.tensor([[1.0], [2.0]]), torch.tensor([[0], [1]])
        >>> up, down = torch.tensor([[[2.0]]]), torch.tensor([[[0.5]]])
        >>> morphism_loss(features, covariates, up, down).item()
        0.0
        >>> morphism_loss(features, covariates, up, up).item()  # (4 - 1)^2 / 4
        2.25
    """
    precise = torch.promote_types(features.dtype, torch.promote_types(up.dtype, torch.float32))
    rows, values = joined_rows(features.to(precise)), joined_rows(covariates)
    differences = values[:, None] - values[None]
    distinct, place = torch.unique(differences.flatten(0, 1), dim=0, return_inverse=True)
    with torch.autocast(rows.device.type, enabled=False):
        moved = torch.einsum(
            "nd,mde->mne", rows, _products(distinct, up.to(precise), down.to(precise))
        )
        first = torch.arange(len(rows), device=rows.device)[:, None]
        errors = moved[place.view(len(rows), -1), first] - rows
        return errors.square().mean()


def inverse_loss(up: Tensor, down: Tensor) -> Tensor:
    r"""How far the two matrices of each covariate are from being inverse to each other.

    .. math:: L = \frac{1}{D^2} \sum_{c=1}^{C} \left( \lVert U_c D_c - I \rVert^2
              + \lVert D_c U_c - I \rVert^2 \right)

    Source: as :func:`morphism_loss`.

    Args:
        up: ``(C, D, D)`` float U.
        down: ``(C, D, D)`` float D.

    Returns:
        Scalar, computed in float32 at least, also under autocast.

    Example:
        >>> up, down = torch.tensor([[[2.0]]]), torch.tensor([[[1.0]]])
        >>> inverse_loss(up, down).item()
        2.0
    """
    precise = torch.promote_types(torch.promote_types(up.dtype, down.dtype), torch.float32)
    up, down = up.to(precise), down.to(precise)
    with torch.autocast(up.device.type, enabled=False):
        identity = torch.eye(up.shape[1], dtype=precise, device=up.device)
        errors = torch.stack([up @ down - identity, down @ up - identity])
    return errors.square().mean(dim=(2, 3)).sum()


def _products(differences: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """``(M, D, D)`` products of the powers of all covariates, for ``(M, C)`` differences."""
    product = torch.eye(up.shape[1], dtype=up.dtype, device=up.device).expand(1, -1, -1)
    for steps, raised, lowered in zip(differences.T, up, down, strict=True):
        distinct, place = torch.unique(steps, return_inverse=True)
        powers = [_power(raised, lowered, step) for step in distinct.tolist()]
        product = product @ torch.stack(powers)[place]
    return product


def _power(up: Tensor, down: Tensor, difference: int) -> Tensor:
    power: Tensor = torch.linalg.matrix_power(down if difference > 0 else up, abs(difference))
    return power
