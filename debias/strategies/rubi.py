"""RUBi: a biased network masks the logits, so that samples it gets right have little effect."""

import torch
from torch import nn

from debias.errors import check_at_least
from debias.strategies.biased_network import BesideBiasedNetwork, biased_network
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss


class RUBi(BesideBiasedNetwork):
    r"""Mask the logits with a head on a biased network, so that biased samples count less.

    g is a biased network, and h a linear head on its features. For each batch, in this order:

    1. g is trained on :math:`\mathrm{CE}(g)`;
    2. the model f and h are trained on :math:`\mathrm{CE}(f \cdot \sigma(h(g))) + w\,
       \mathrm{CE}(h(g))`, with g fixed.

    Evaluation uses f alone. Needs no bias labels.

    Source: Cadene et al., "RUBi: Reducing Unimodal Biases for Visual Question Answering", NeurIPS
    2019, as the baseline of Bahng et al., ICML 2020; reference code clovaai/rebias.

    Args:
        groups: the groups of the data.
        biased: architecture of g, see :data:`debias.models.small_receptive.NETWORKS`.
        head_weight: w >= 0.

    Raises:
        ValueError: ``head_weight`` is negative, or ``biased`` is unknown.

    Differs from the reference: h is trained. In clovaai/rebias, the optimiser does not receive the
    parameters of h, so the mask comes from random weights. Both here and there, one linear layer
    gives the mask and the prediction. In the paper's code the mask is a separate network, and a
    second layer predicts from its output.
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
        """Task loss of the masked logits plus weighted task loss of the head; both are logged."""
        with torch.no_grad():
            features = self.network(batch.image).features
        mask = self.head(features)
        masked = model(batch.image).logits * torch.sigmoid(mask)
        masked_loss, head_loss = task_loss(masked, batch), task_loss(mask, batch)
        terms = {"cross_entropy": masked_loss.detach(), "head_cross_entropy": head_loss.detach()}
        return Loss(masked_loss + self.head_weight * head_loss, terms)
