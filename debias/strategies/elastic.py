"""ElRep: keep the singular values of the features few and small, so that no shortcut dominates."""

from torch import nn

from debias.errors import check_at_least
from debias.losses.elastic import elastic_norm
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss, Outputs


class Elastic(Strategy):
    r"""Penalise the nuclear norm and the Frobenius norm of the features.

    .. math:: L = \frac1N \sum_i \ell_i
              + \frac1N \left( \theta_1 \lVert Z \rVert_* + \theta_2 \lVert Z \rVert_F^2 \right)

    Z are the features of the batch. Needs no bias labels. Each step decomposes Z. Its cost grows
    with the square of the batch size or of the feature size, whichever is smaller.

    Source: Wen et al., "Elastic Representation: Mitigating Spurious Correlations for Group
    Robustness", AISTATS 2025; reference code TaoWen0309/ElRep, whose commands use these defaults
    for Waterbirds, CelebA and CivilComments.

    Args:
        nuclear: :math:`\theta_1 \ge 0`.
        frobenius: :math:`\theta_2 \ge 0`. With both at 0, the method is ERM.

    Raises:
        ValueError: ``nuclear`` or ``frobenius`` is negative.

    Differs from the reference: loss and penalty use the same forward pass; there each has its own.
    The base loss is the mean loss; the reference also offers that of Group DRO. See
    :func:`debias.losses.elastic.elastic_norm`.
    """

    def __init__(self, *, nuclear: float = 1e-3, frobenius: float = 1e-4) -> None:
        super().__init__()
        check_at_least(0, {"nuclear": nuclear, "frobenius": frobenius}, of="Elastic")
        self.nuclear, self.frobenius = nuclear, frobenius

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss plus the elastic norm, which is logged."""
        outputs: Outputs = model(batch.image)
        norm = elastic_norm(outputs.features, nuclear=self.nuclear, frobenius=self.frobenius)
        terms = {"elastic_norm": norm.detach()}
        weight = float(self.nuclear > 0 or self.frobenius > 0)
        return Loss(task_loss(outputs.logits, batch) + norm, terms, {"elastic_norm": weight})
