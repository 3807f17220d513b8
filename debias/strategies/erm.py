"""Empirical risk minimisation (ERM): the baseline, which learns shortcuts."""

from torch import nn

from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss


class ERM(Strategy):
    r"""Minimise the mean loss: the baseline, which learns shortcuts.

    The loss is :math:`L = \frac1N \sum_i \ell_i`. If the batch has sample weights, they multiply
    :math:`\ell_i`.

    Source: Vapnik, "Principles of risk minimization for learning theory", NeurIPS 1991.
    """

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean classification loss of the batch."""
        return Loss(task_loss(model(batch.image).logits, batch), {})
