"""Correct-n-Contrast: pull samples of one class together, push confused classes apart."""

import torch
from torch import Tensor, nn

from debias.errors import check_between, check_positive
from debias.losses.supervised_contrastive import (
    across_biases,
    cosine_similarities,
    supervised_contrastive_losses,
)
from debias.processes import joined_rows
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs


class CorrectNContrast(Strategy):
    r"""Contrast features: positives have equal class and other bias, negatives the reverse.

    .. math:: L = \lambda \operatorname{mean}_{i: P_i \ne \emptyset}
              \Big[ -\frac{1}{|P_i|} \sum_{j \in P_i} \log
              \frac{\exp(G_{ij} / \tau)}{\sum_{k \in P_i \cup N_i} \exp(G_{ik} / \tau)} \Big]
              + (1 - \lambda)\, \mathrm{CE}(f, y)

    .. math:: P_i = \{j : y_j = y_i,\; b_j \ne b_i\}, \qquad N_i = \{j : y_j \ne y_i,\; b_j = b_i\}

    G are the feature cosines of the joined batch of all processes, and b is the bias.
    :class:`debias.recipes.cnc.CnC` replaces the bias by the class that an earlier model predicted.
    A batch needs positives: draw group-balanced batches.

    Source: Zhang et al., "Correct-N-Contrast: A Contrastive Approach for Improving Robustness to
    Spurious Correlations", ICML 2022; reference code HazyResearch/correct-n-contrast.

    Args:
        groups: the groups of the data, with single-label targets.
        temperature: :math:`\tau > 0`.
        contrast_weight: :math:`\lambda` in [0, 1].

    Raises:
        ValueError: ``temperature`` is not positive, or ``contrast_weight`` is outside [0, 1].

    Differs from the reference: every sample of a batch is an anchor, with positives and negatives
    from the same batch. The reference draws a fixed number of positives and negatives for each
    anchor, and adds up the gradients of many such sets. Here the loss is a mean over anchors. The
    reference adds the loss of the anchor and the loss of its positives as anchors. So the same
    weight gives about half the contrast here. The model is in training mode here; there it is in
    evaluation mode up to its head.
    """

    requires = ("bias",)
    single_label = True
    hard_targets = True
    smallest_batch = 2  # a sample is contrasted with the others

    def __init__(
        self, groups: Groups, *, temperature: float = 0.1, contrast_weight: float = 0.75
    ) -> None:
        super().__init__(groups)
        check_positive({"temperature": temperature}, of="CorrectNContrast")
        check_between("[0, 1]", {"contrast_weight": contrast_weight}, of="CorrectNContrast")
        self.temperature, self.contrast_weight = temperature, contrast_weight

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Weighted sum of the contrastive loss and the task loss; both are logged."""
        outputs: Outputs = model(batch.image)
        target, bias = joined_rows(torch.stack([batch.target, batch.bias], dim=1)).unbind(1)
        contrast = self._contrast(cosine_similarities(joined_rows(outputs.features)), target, bias)
        task = task_loss(outputs.logits, batch)
        total = self.contrast_weight * contrast + (1 - self.contrast_weight) * task
        terms = {"contrast": contrast.detach(), "cross_entropy": task.detach()}
        return Loss(total, terms, {"contrast": self.contrast_weight})

    def _contrast(self, similarities: Tensor, target: Tensor, bias: Tensor) -> Tensor:
        positive = across_biases(target, bias)
        negative = (target[:, None] != target) & (bias[:, None] == bias) & (bias >= 0)
        compared = torch.where(positive | negative, similarities, -torch.inf)
        losses = supervised_contrastive_losses(compared, positive, temperature=self.temperature)
        anchors = positive.any(dim=1)
        return torch.where(anchors, losses, 0.0).sum() / anchors.sum().clamp(min=1)
