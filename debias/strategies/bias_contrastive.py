"""Bias-contrastive learning: samples with the same class and different biases are positives."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import check_at_least, check_positive
from debias.losses import supervised_contrastive as contrastive
from debias.losses.logit_adjustment import log_priors
from debias.processes import joined_rows
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs


class BiasContrastive(Strategy):
    r"""Contrast features: positives share the class but not the bias.

    .. math:: L = \frac{1}{m} \sum_i \ell_i
              + w\, \mathrm{CE}(f + \delta \log p(y \mid b),\, y), \qquad
              P_i = \{j : y_j = y_i,\; b_j \ne b_i\}

    :math:`\ell_i` is :func:`debias.losses.supervised_contrastive.supervised_contrastive_losses`
    with the positives :math:`P_i`, on the feature cosines of the joined batch of all processes. A
    sample without positives has :math:`\ell_i = 0`. With ``balanced_logits`` ("BiasBal"),
    :math:`\delta = 1`. The training logits then contain the log prior of the class given the bias,
    so that f need not learn it. Evaluation uses f. A batch needs positives. Where they are rare,
    draw group-balanced batches with :math:`\delta = 0`, since the bias does not predict the class
    in them.

    Source: Hong & Yang, "Unbiased Classification through Bias-Contrastive and Bias-Balanced
    Learning", NeurIPS 2021; reference code grayhong/bias-contrastive-learning.

    Args:
        groups: the groups of the data, with single-label targets.
        frequencies: ``(G,)`` number of training samples in each group.
        temperature: :math:`\tau > 0`.
        task_weight: :math:`w \ge 0`.
        balanced_logits: whether :math:`\delta` is 1 instead of 0.

    Raises:
        ValueError: ``temperature`` is not positive, or ``task_weight`` is negative.

    Differs from the reference: both losses use the same batch, with one view per image. The
    reference contrasts two views of a second batch, from a loader that draws rare biases of a class
    more often. Positives need no second view. Priors are at least 1e-9 here; the reference adds
    1e-9 to them, and also inside the logarithm of the contrast. With ``balanced_logits``, a sample
    of unknown bias gets no prior.
    """

    requires = ("bias",)
    single_label = True
    hard_targets = True
    smallest_batch = 2  # a sample is contrasted with the others

    def __init__(
        self,
        groups: Groups,
        frequencies: Tensor,
        *,
        temperature: float = 0.07,
        task_weight: float = 0.01,
        balanced_logits: bool = False,
    ) -> None:
        super().__init__(groups)
        check_positive({"temperature": temperature}, of="BiasContrastive")
        check_at_least(0, {"task_weight": task_weight}, of="BiasContrastive")
        self.temperature, self.task_weight = temperature, task_weight
        self.corrects_prior = "class given bias" if balanced_logits else ""
        priors = log_priors(frequencies.view(groups.rows, groups.biases).T) * balanced_logits
        # a bias of -1 selects the last row, which is 0
        self.register_buffer("log_prior", F.pad(priors, (0, 0, 0, 1)))
        self.log_prior: Tensor

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Contrastive loss plus ``task_weight`` times the task loss; both are logged."""
        outputs: Outputs = model(batch.image)
        target, bias = joined_rows(torch.stack([batch.target, batch.bias], dim=1)).unbind(1)
        similarities = contrastive.cosine_similarities(joined_rows(outputs.features))
        losses = contrastive.supervised_contrastive_losses(
            similarities, contrastive.across_biases(target, bias), temperature=self.temperature
        )
        contrast = losses.mean()
        task = task_loss(outputs.logits + self.log_prior[batch.bias], batch)
        terms = {"contrast": contrast.detach(), "cross_entropy": task.detach()}
        return Loss(contrast + self.task_weight * task, terms, {"contrast": 1.0})
