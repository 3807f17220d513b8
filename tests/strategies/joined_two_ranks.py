"""Strategies with quantities over pairs and groups, which processes join."""

from collections.abc import Callable

import torch

from debias.strategies.bias_contrastive import BiasContrastive
from debias.strategies.decompose_compose import DecomposeCompose
from debias.strategies.domain_discriminative import DomainDiscriminative
from debias.strategies.domain_independent import DomainIndependent
from debias.strategies.end import EnD
from debias.strategies.equivariant import Equivariant
from debias.strategies.fair_regularised import FairRegularised
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss
from tests.fakes import GROUPS


class LowLosses(DecomposeCompose):
    """Low losses are 2 of the first half, rank 0's, and 5 of the second; masks hide nothing, so
    nothing is drawn.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        high = ~torch.isin(torch.arange(16), torch.tensor([0, 1, 8, 9, 10, 11, 12]))
        super().__init__(GROUPS, high.long(), alpha=2.0)
        model.get_submodule("body").requires_grad_(False)

    def loss(self, model: torch.nn.Module, batch: Batch) -> Loss:
        """Of the batch with its masks."""
        return super().loss(model, batch._replace(mask=torch.ones_like(batch.image[:, :1])))


FREQUENCIES = torch.tensor([30, 6, 2, 10])
STRATEGIES: dict[str, Callable[[torch.nn.Module], Strategy]] = {
    "end": lambda model: EnD(GROUPS, disentangling=1.0, entangling=1.0),
    "bias_contrastive": lambda model: BiasContrastive(
        GROUPS, FREQUENCIES, task_weight=1.0, balanced_logits=True
    ),
    "parity": lambda model: FairRegularised(GROUPS, criterion="demographic_parity"),
    "odds": lambda model: FairRegularised(GROUPS, weight=3.0),
    "domain_independent": lambda model: DomainIndependent(GROUPS),
    "equivariant": lambda model: Equivariant(GROUPS, model, deviation=0.5),
    "decompose_compose": LowLosses,
    "domain_discriminative": lambda model: DomainDiscriminative(GROUPS, FREQUENCIES),
}
