"""Logit adjustment: what the prior of the classes, or given the bias, explains is not learnt."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from debias.errors import check_at_least
from debias.losses.logit_adjustment import log_priors, logit_adjusted_losses
from debias.strategies.objectives import weighted
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class LogitAdjustment(Strategy):
    r"""Add the log class prior to the logits in training.

    Mean cross-entropy of :math:`z + \tau \log \pi`, with the class prior. Needs no bias labels.

    In evaluation the model's logits are read as they are. :math:`\tau = 1` is balanced softmax.

    Source: Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021.

    Args:
        groups: the groups of the data; single-label.
        class_frequencies: ``(C,)`` training samples of each class.
        tau: :math:`\tau \ge 0`; 0 is ERM.

    Raises:
        ValueError: ``tau`` is negative.
    """

    single_label = True
    prior: ClassVar[str] = "class"

    def __init__(self, groups: Groups, class_frequencies: Tensor, *, tau: float = 1.0) -> None:
        super().__init__(groups)
        check_at_least(0, {"tau": tau}, of=type(self).__name__)
        self.tau, self.corrects_prior = tau, self.prior if tau else ""
        self.register_buffer("log_priors", log_priors(class_frequencies))
        self.log_priors: Tensor

    def log_prior(self, batch: Batch) -> Tensor:
        """``(C,)`` or ``(N, C)``: the log prior of the batch or of each sample."""
        return self.log_priors

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss of the batch."""
        logits = model(batch.image).logits
        losses = logit_adjusted_losses(
            logits, batch.target, log_prior=self.log_prior(batch), tau=self.tau
        )
        return Loss(weighted(losses, batch).mean(), {})


class ConditionalLogitAdjustment(LogitAdjustment):
    r"""Add the log class prior given the bias to the logits in training (BiasBal).

    Mean cross-entropy of :math:`z + \tau \log p(y \mid b)`: that the bias tells of the class is not
    learnt.

    The bias-balanced loss (BiasBal) of the paper. A sample of unknown bias takes the class prior.
    In evaluation the model's logits are read as they are, and no bias is needed.

    Source: Hong & Yang, "Unbiased Classification through Bias-Contrastive and Bias-Balanced
    Learning", NeurIPS 2021; reference code grayhong/bias-contrastive-learning.

    Args:
        groups: the groups of the data; single-label.
        frequencies: ``(G,)`` training samples of each group.
        tau: :math:`\tau \ge 0`; 0 is ERM.

    Raises:
        ValueError: ``tau`` is negative.

    Differs from the reference: any number of classes and of values of the bias (its table is
    square); smallest prior, see :func:`debias.losses.logit_adjustment.log_priors`.
    """

    requires = ("bias",)
    prior = "class given bias"

    def __init__(self, groups: Groups, frequencies: Tensor, *, tau: float = 1.0) -> None:
        of_bias = frequencies.reshape(groups.rows, groups.biases).T
        # the class prior comes last, where an unknown bias, -1, finds it
        super().__init__(groups, torch.cat([of_bias, of_bias.sum(dim=0, keepdim=True)]), tau=tau)

    def log_prior(self, batch: Batch) -> Tensor:
        """``(N, C)``: the log prior given the bias of each sample."""
        return self.log_priors[batch.bias]
