"""RUBi: a biased network masks the logits, so that samples it gets right teach little."""

import torch
from torch import nn

from debias.errors import check_at_least
from debias.strategies.biased_network import BesideBiasedNetwork, biased_network
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss


class RUBi(BesideBiasedNetwork):
    r"""Mask the logits by a biased network's, so that biased samples count less.

    The model f learns through a mask from a linear head h on the features of a biased network g.

    For each batch, in this order:

    1. g moves on :math:`\mathrm{CE}(g)`;
    2. f and h move on :math:`\mathrm{CE}(f \cdot \sigma(h(g))) + w\, \mathrm{CE}(h(g))`, g standing
       still.

    In evaluation f stands alone. Needs no bias labels.

    Source: Cadene et al., "RUBi: Reducing Unimodal Biases for Visual Question Answering", NeurIPS
    2019, as the baseline of Bahng et al., ICML 2020; reference code clovaai/rebias.

    Args:
        groups: the groups of the data.
        biased: architecture of g, see :data:`debias.models.small_receptive.NETWORKS`.
        head_weight: w >= 0.

    Raises:
        ValueError: a negative ``head_weight``, or an unknown architecture.

    Differs from the reference: h is trained. In clovaai/rebias it never reaches the optimiser, as
    its parameters are looked for where a module does not keep them, so that the mask there comes
    from random weights. There and here one linear layer makes the mask and answers; in the paper's
    code the mask is a network of its own, and a second layer answers from it.
    """

    def __init__(
        self, groups: Groups, *, biased: str = "simple_conv_k1", head_weight: float = 1.0
    ) -> None:
        super().__init__()
        check_at_least(0, {"head_weight": head_weight}, of="RUBi")
        self.head_weight = head_weight
        network = biased_network(groups, biased)
        self.network, self.head = network, nn.Linear(network.feature_size, groups.outputs)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the model and of the head of the mask."""
        with torch.no_grad():
            features = self.network(batch.image).features
        mask = self.head(features)
        masked = model(batch.image).logits * torch.sigmoid(mask)
        fused, alone = task_loss(masked, batch), task_loss(mask, batch)
        terms = {"cross_entropy": fused.detach(), "head_cross_entropy": alone.detach()}
        return Loss(fused + self.head_weight * alone, terms)
