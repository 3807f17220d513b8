"""ElRep: features of few and small singular values, which no single shortcut fills."""

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

    with Z the features of the batch. Needs no bias labels. Each step decomposes Z: the cost grows
    with the smaller of the batch size and the width of the features, squared.

    Source: Wen et al., "Elastic Representation: Mitigating Spurious Correlations for Group
    Robustness", AISTATS 2025; reference code TaoWen0309/ElRep, whose commands have the defaults for
    Waterbirds, CelebA and CivilComments.

    Args:
        nuclear: :math:`\theta_1 \ge 0`.
        frobenius: :math:`\theta_2 \ge 0`; with ``nuclear`` 0, both at 0 are ERM.

    Raises:
        ValueError: ``nuclear`` or ``frobenius`` is negative.

    Differs from the reference: the features are those of the same forward pass, which there is made
    twice; the base loss is the mean, there also Group DRO's. See
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
