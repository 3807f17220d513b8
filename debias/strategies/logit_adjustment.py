"""Logit adjustment: add the log prior to the logits in training, so that it is not learnt."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least
from debias.losses.logit_adjustment import log_priors, logit_adjusted_losses
from debias.strategies.objectives import weighted
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class LogitAdjustment(Strategy):
    r"""Add the log class prior to the logits in training.

    The loss is the mean cross-entropy of :math:`z + \tau \log \pi`, with the logits z and the class
    prior :math:`\pi` of the training data. Evaluation uses z. :math:`\tau = 1` is balanced softmax.
    Needs no bias labels.

    Source: Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021.

    Args:
        groups: the groups of the data, with single-label targets.
        class_frequencies: ``(C,)`` number of training samples in each class.
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
        """The log prior to add to the logits: ``(C,)`` for the batch, or ``(N, C)`` per sample."""
        return self.log_priors

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean logit-adjusted loss of the batch."""
        logits = model(batch.image).logits
        losses = logit_adjusted_losses(
            logits, batch.target, log_prior=self.log_prior(batch), tau=self.tau
        )
        return Loss(weighted(losses, batch).mean(), {})


class ConditionalLogitAdjustment(LogitAdjustment):
    r"""Add the log class prior given the bias to the logits in training (BiasBal).

    The loss is the mean cross-entropy of :math:`z + \tau \log p(y \mid b)`, with the logits z. So z
    need not learn how the bias predicts the class. A sample of unknown bias gets the class prior.
    Evaluation uses z and needs no bias labels.

    Source: the bias-balanced loss (BiasBal) of Hong & Yang, "Unbiased Classification through
    Bias-Contrastive and Bias-Balanced Learning", NeurIPS 2021; reference code
    grayhong/bias-contrastive-learning.

    Args:
        groups: the groups of the data, with single-label targets.
        frequencies: ``(G,)`` number of training samples in each group.
        tau: :math:`\tau \ge 0`; 0 is ERM.
        soft_counts: numbers of training samples in each group, which need not be whole, in place of
            ``frequencies``. The recipe ``ula`` sets them.

    Raises:
        ValueError: ``tau`` or one of ``soft_counts`` is negative, or there is not one of them per
            group.

    Differs from the reference: any numbers of classes and of bias values; there both are equal. For
    the smallest prior, see :func:`debias.losses.logit_adjustment.log_priors`.
    """

    requires = ("bias",)
    prior = "class given bias"

    def __init__(
        self,
        groups: Groups,
        frequencies: Tensor,
        *,
        tau: float = 1.0,
        soft_counts: tuple[float, ...] = (),
    ) -> None:
        if soft_counts:
            if len(soft_counts) != groups.count:
                raise InputError(
                    f"strategy.soft_counts must have one number per group, {groups.count}; got "
                    f"{len(soft_counts)}. Leave it out: recipe.name=ula sets it"
                )
            check_at_least(0, {"soft_counts": min(soft_counts)}, of=type(self).__name__)
            frequencies = torch.tensor(soft_counts, dtype=torch.float64)
        of_bias = frequencies.reshape(groups.rows, groups.biases).T
        # a bias of -1 selects the last row, which is the class prior
        super().__init__(groups, torch.cat([of_bias, of_bias.sum(dim=0, keepdim=True)]), tau=tau)

    def log_prior(self, batch: Batch) -> Tensor:
        """``(N, C)`` log prior of the classes, given the bias of each sample."""
        return self.log_priors[batch.bias]
