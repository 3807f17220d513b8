"""CVaR in each of two processes."""

import torch
from torch import Tensor

from debias.losses.cvar import cvar

#: The rows of rank 0 are larger, and with them its losses.
INPUTS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
INPUTS[:6] *= 4
SHARDS = (slice(0, 6), slice(6, 10))


def losses(weight: Tensor) -> Tensor:
    return (INPUTS @ weight).square()


def on_rank(rank: int) -> dict[str, Tensor]:
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    value = cvar(losses(weight)[SHARDS[rank]], alpha=0.35)
    (gradient,) = torch.autograd.grad(value, weight)
    return {"cvar": value.detach(), "gradient": gradient}
