"""Quantities over environments in each of two processes."""

from collections.abc import Callable

import torch
from torch import Tensor

from debias.losses.feature_distances import CORALLoss, MMDLoss
from debias.losses.irm import irm_penalty
from debias.losses.vrex import environment_risks

#: Rank 0 holds nine samples and rank 1 six; neither has four of every environment, and one
#: environment begins at odd.
INPUTS = torch.randn(15, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ENVIRONMENT = torch.tensor([0, 1, 0, 2, 0, 1, 1, -1, 0, 1, 2, 2, 1, 2, 0])
TARGET = torch.arange(15) % 2
COMPARED = torch.ones(3, 3, dtype=torch.bool)
SHARDS = (slice(0, 9), slice(9, 15))


def _losses(logits: Tensor) -> Tensor:
    return logits.square().sum(dim=1)


#: Each quantity of features of two columns, targets and environments.
QUANTITIES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "irm": lambda logits, target, environment: irm_penalty(logits, target, environment, 3),
    "irm_square": lambda logits, target, environment: irm_penalty(
        logits, target, environment, 3, unbiased=False
    ),
    "risk": lambda logits, target, environment: (
        environment_risks(_losses(logits), environment, 3).mean
    ),
    "vrex": lambda logits, target, environment: (
        environment_risks(_losses(logits), environment, 3).variance
    ),
    "coral": lambda features, target, environment: CORALLoss()(features, environment, COMPARED),
    "mmd": lambda features, target, environment: MMDLoss()(features, environment, COMPARED),
    "mmd_unbiased": lambda features, target, environment: MMDLoss(unbiased=True)(
        features, environment, COMPARED
    ),
}


def computed(part: slice) -> dict[str, Tensor]:
    """Value of each quantity, and its gradient by the weight of a linear map."""
    found = {}
    for name, quantity in QUANTITIES.items():
        weight = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2).requires_grad_()
        value = quantity(INPUTS[part] @ weight, TARGET[part], ENVIRONMENT[part])
        (gradient,) = torch.autograd.grad(value, weight)
        found |= {f"{name}/value": value.detach(), f"{name}/gradient": gradient}
    return found


def on_rank(rank: int) -> dict[str, Tensor]:
    return computed(SHARDS[rank])
