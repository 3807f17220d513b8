"""Empirical risk minimisation: the baseline that takes the shortcut."""

from torch import nn

from debias.strategies.objectives import task_loss
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
        return Loss(task_loss(model(batch.image).logits, batch), {})
