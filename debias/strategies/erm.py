"""Empirical risk minimisation: the baseline that takes the shortcut."""

from __future__ import annotations

from torch import nn

from debias.losses.classification import classification_losses
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss


class ERM(Strategy):
    r"""Minimise the mean loss: the baseline that takes the shortcut.

    Mean loss of the batch, :math:`L = \frac1N \sum_i \ell_i`, or its weighted mean where the batch
    has weights.

    Source: Vapnik, "Principles of risk minimization for learning theory", NeurIPS 1991.
    """

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss of the batch."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        if batch.weight is not None:
            losses = losses * batch.weight
        return Loss(losses.mean(), {})
