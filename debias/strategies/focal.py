"""Focal loss: train mainly on samples that are not yet classified well."""

from torch import nn

from debias.errors import check_at_least
from debias.losses.focal import focal_losses
from debias.strategies.objectives import weighted
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss


class Focal(Strategy):
    r"""Give less weight to samples that are already classified well.

    The mean focal loss is :math:`L = \frac1N \sum_i (1 - p_i)^\gamma (-\log p_i)`, with :math:`p_i`
    the probability of the true class. Needs no bias labels.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; as a baseline against
    shortcuts: Yang et al., "Change is Hard" (SubpopBench), ICML 2023.

    Args:
        gamma: :math:`\gamma \ge 0`; 0 is ERM.

    Raises:
        ValueError: ``gamma`` is negative.

    Differs from the reference: see :func:`debias.losses.focal.focal_losses`.
    """

    def __init__(self, *, gamma: float = 1.0) -> None:
        super().__init__()
        check_at_least(0, {"gamma": gamma}, of="Focal")
        self.gamma = gamma

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean focal loss of the batch."""
        losses = focal_losses(model(batch.image).logits, batch.target, gamma=self.gamma)
        return Loss(weighted(losses, batch).mean(), {})
