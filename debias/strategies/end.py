"""EnD: features that do not show the bias, and show the class whatever the bias."""

import torch
from torch import nn

from debias.errors import check_at_least
from debias.losses.entanglement import disentangling_loss, entangling_loss
from debias.losses.supervised_contrastive import cosine_similarities
from debias.processes import joined_rows
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs


class EnD(Strategy):
    r"""Make features orthogonal within a bias value and parallel within a class across bias values.

    .. math:: L = \mathrm{CE} + \alpha\, R_\perp + \beta\, R_\parallel

    with :math:`R_\perp` of :func:`debias.losses.entanglement.disentangling_loss` and
    :math:`R_\parallel` of :func:`debias.losses.entanglement.entangling_loss`, over the joined batch
    of all processes. A batch needs pairs of one class and different biases: where these are rare,
    draw group-balanced batches.

    Source: Tartaglione et al., "EnD: Entangling and Disentangling deep representations for bias
    correction", CVPR 2021; reference code EIDOSLAB/entangling-disentangling-bias.

    Args:
        groups: the groups of the data; single-label.
        disentangling: :math:`\alpha \ge 0`.
        entangling: :math:`\beta \ge 0`. Published: both searched in [0, 1] on Biased-MNIST, up to
            50 at rho = 0.999.
        cancelling: let similar and opposite pairs of one bias cancel each other in :math:`R_\perp`,
            as the code does.

    Raises:
        ValueError: ``disentangling`` or ``entangling`` is negative.

    Differs from the reference: the classifier reads the features as they are, there their unit
    vectors; features are whatever the model gives, there a tanh comes before the pooling. See also
    :func:`debias.losses.entanglement.entangling_loss`.
    """

    requires = ("bias",)
    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        *,
        disentangling: float = 0.1,
        entangling: float = 0.1,
        cancelling: bool = True,
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"disentangling": disentangling, "entangling": entangling}, of="EnD")
        self.biases = groups.biases
        self.disentangling, self.entangling, self.cancelling = disentangling, entangling, cancelling

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task and both terms, which are logged."""
        outputs: Outputs = model(batch.image)
        similarities = cosine_similarities(joined_rows(outputs.features))
        target, bias = joined_rows(torch.stack([batch.target, batch.bias], dim=1)).unbind(1)
        apart = disentangling_loss(
            similarities, bias, biases=self.biases, cancelling=self.cancelling
        )
        together = entangling_loss(similarities, target, bias)
        task = task_loss(outputs.logits, batch)
        loss = task + self.disentangling * apart + self.entangling * together
        terms = {"disentangling": apart.detach(), "entangling": together.detach()}
        return Loss(
            loss, terms, {"disentangling": self.disentangling, "entangling": self.entangling}
        )
