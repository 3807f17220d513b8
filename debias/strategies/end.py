"""EnD: features that hide the bias, and that are similar within a class for all bias values."""

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

    :math:`R_\perp` is :func:`debias.losses.entanglement.disentangling_loss` and :math:`R_\parallel`
    is :func:`debias.losses.entanglement.entangling_loss`, over the joined batch of all processes. A
    batch needs pairs of one class with different biases. Where such pairs are rare, draw
    group-balanced batches.

    Source: Tartaglione et al., "EnD: Entangling and Disentangling deep representations for bias
    correction", CVPR 2021; reference code EIDOSLAB/entangling-disentangling-bias.

    Args:
        groups: the groups of the data, with single-label targets.
        disentangling: :math:`\alpha \ge 0`.
        entangling: :math:`\beta \ge 0`. Published: both searched in [0, 1] on Biased-MNIST, up to
            50 at rho = 0.999.
        cancelling: in :math:`R_\perp`, let similar and opposite pairs of one bias value cancel each
            other, as in the code.

    Raises:
        ValueError: ``disentangling`` or ``entangling`` is negative.

    Differs from the reference: the classifier reads the features themselves; there it reads their
    unit vectors. The features are those of the model; there a tanh comes before the pooling. See
    also :func:`debias.losses.entanglement.entangling_loss`.
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
        """Task loss plus both weighted regularisers, which are logged."""
        outputs: Outputs = model(batch.image)
        similarities = cosine_similarities(joined_rows(outputs.features))
        target, bias = joined_rows(torch.stack([batch.target, batch.bias], dim=1)).unbind(1)
        disentangling = disentangling_loss(
            similarities, bias, biases=self.biases, cancelling=self.cancelling
        )
        entangling = entangling_loss(similarities, target, bias)
        task = task_loss(outputs.logits, batch)
        loss = task + self.disentangling * disentangling + self.entangling * entangling
        terms = {"disentangling": disentangling.detach(), "entangling": entangling.detach()}
        return Loss(
            loss, terms, {"disentangling": self.disentangling, "entangling": self.entangling}
        )
