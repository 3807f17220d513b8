"""Features by environment, and the mean of a distance over pairs of environments."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from debias.processes import joined_rows

#: Fewest samples with which an environment is compared: one sample has no covariance.
LEAST = 2


class Members(NamedTuple):
    """The joined batch by environment.

    Attributes:
        features: ``(N, D)`` float32 at least, zero where the environment is unknown.
        indicator: ``(N, E)`` of the same dtype, 1 where the sample is from the environment.
        counts: ``(E,)`` of the same dtype.
    """

    features: Tensor
    indicator: Tensor
    counts: Tensor


def members_of(features: Tensor, environment: Tensor, environments: int) -> Members:
    """The rows of all processes, and which environment each is from.

    Args:
        features: ``(N, ...)`` float, flattened from the second axis on.
        environment: ``(N,)`` int64 in [0, environments); -1 leaves the sample out.
        environments: how many environments there are, absent ones included.
    """
    rows = features.flatten(1)
    rows = joined_rows(rows.to(torch.promote_types(rows.dtype, torch.float32)))
    environment = joined_rows(environment)
    rows = torch.where(environment[:, None] < 0, 0.0, rows)
    columns = torch.arange(environments, device=rows.device)
    indicator = (environment[:, None] == columns).to(rows.dtype)
    return Members(rows, indicator, indicator.sum(dim=0))


def distances_from_inner(inner: Tensor) -> Tensor:
    """``(E, E)`` squared distances of points from their ``(E, E)`` inner products."""
    squares = inner.diagonal()
    return squares[:, None] + squares - 2 * inner


def mean_over_pairs(distances: Tensor, counts: Tensor, compared: Tensor) -> Tensor:
    """Mean over the compared pairs of environments with two samples each; 0 where there is none.

    Args:
        distances: ``(E, E)`` float, symmetric.
        counts: ``(E,)`` samples of each environment.
        compared: ``(E, E)`` bool; only what lies above the diagonal is read.
    """
    enough = counts >= LEAST
    pairs = compared.triu(1) & enough[:, None] & enough
    return torch.where(pairs, distances, 0.0).sum() / pairs.sum().clamp(min=1)
