"""How strongly concepts occur together with the class, with the bias and with each other."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.metrics.discovery.information import cramers_v


def associations(labels: Tensor, other: Tensor) -> Tensor:
    r"""Cramér's V of each concept and another attribute; see :func:`.information.cramers_v`.

    Args:
        labels: ``(N, C)`` int64: 1 with the concept, 0 without it, -1 unknown.
        other: ``(N,)`` int64 value of the attribute; -1 unknown.

    Returns:
        ``(C,)`` float64 in [0, 1], over the samples where both are known. NaN if these have only
        one value of the concept or of the attribute.

    Example:
        >>> labels = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 1], [-1, 1]])
        >>> associations(labels, torch.tensor([1, 1, 0, 0, -1])).tolist()
        [1.0, 0.0]
    """
    values = F.one_hot(other + 1)[:, 1:].double()
    sides = torch.stack([labels == 0, labels == 1]).double()
    return cramers_v(torch.einsum("snc,nv->csv", sides, values))


def strongest(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The other concept with which each concept is most associated.

    Args:
        labels: as for :func:`associations`.

    Returns:
        ``(C,)`` float64 association, and ``(C,)`` int64 position of the other concept, -1 if no
        association is defined. The association is then NaN.
    """
    pairs = torch.stack([associations(labels, column) for column in labels.unbind(dim=1)], dim=1)
    pairs = pairs.nan_to_num(-1.0).fill_diagonal_(-1.0)
    found, position = pairs.max(dim=1)
    defined = found >= 0
    return torch.where(defined, found, torch.nan), torch.where(defined, position, -1)
