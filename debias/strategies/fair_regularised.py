"""ERM plus a fairness penalty: the gap in a rate between the bias values."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import check_at_least, check_one_of
from debias.losses.fairness_gaps import (
    demographic_parity_gap,
    equal_opportunity_gap,
    equalized_odds_gap,
)
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss

CRITERIA = ("demographic_parity", "equal_opportunity", "equalized_odds")


class FairRegularised(Strategy):
    r"""Penalise the gap between bias values in a rate, such as the true positive rate.

    .. math:: L = L_\text{task} + \frac{\lambda}{C} \sum_c \big(\max_b r_c(b) - \min_b r_c(b)\big)

    :math:`r_c(b)` is the rate at which samples of bias b get outcome c, computed from probabilities
    instead of decisions. The outcomes are those of the fairness metrics: the second of two classes,
    each of several classes against the others, or each label. The rates are those of a batch. Draw
    large or group-balanced batches, so that rare groups have a rate. Where the class is correlated
    with the bias, demographic parity requires wrong answers and may harm the worst group.

    Source: the criteria of Dwork et al., ITCS 2012 (parity) and Hardt et al., NeurIPS 2016
    (opportunity, odds); as penalties in Padala & Gujar, "FNNC", IJCAI 2020, and Buyl et al.,
    "fairret", ICLR 2024.

    Args:
        groups: the groups of the data; targets may be single- or multi-label.
        criterion: "demographic_parity", "equal_opportunity" or "equalized_odds".
        weight: :math:`\lambda \ge 0`.

    Raises:
        ValueError: ``criterion`` is unknown, or ``weight`` is negative.

    Differs from the reference: the penalty is a difference of rates, as in the metrics; fairret
    uses ratios to the overall rate. Rates are those of the joined batch of all processes.
    """

    requires = ("bias",)
    hard_targets = True

    def __init__(
        self, groups: Groups, *, criterion: str = "equalized_odds", weight: float = 1.0
    ) -> None:
        super().__init__()
        check_one_of(CRITERIA, {"criterion": criterion}, of="FairRegularised")
        check_at_least(0, {"weight": weight}, of="FairRegularised")
        self.groups, self.criterion, self.weight = groups, criterion, weight

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss plus ``weight`` times the gap, which is logged."""
        logits = model(batch.image).logits
        gap = self._gaps(*self._outcomes(logits.float(), batch.target), batch.bias).mean()
        total = task_loss(logits, batch) + self.weight * gap
        return Loss(total, {self.criterion: gap.detach()}, {self.criterion: self.weight})

    def _outcomes(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, C)`` probabilities of the outcomes, and ``(N, C)`` 0/1 true outcomes."""
        if self.groups.multi_label:
            return torch.sigmoid(logits), target
        probability, present = torch.softmax(logits, dim=1), F.one_hot(target, self.groups.rows)
        if self.groups.rows == 2:
            return probability[:, 1:], present[:, 1:]
        return probability, present

    def _gaps(self, probability: Tensor, present: Tensor, bias: Tensor) -> Tensor:
        if self.criterion == "demographic_parity":
            return demographic_parity_gap(probability, bias, biases=self.groups.biases)
        gap = equal_opportunity_gap if self.criterion == "equal_opportunity" else equalized_odds_gap
        return gap(probability, present, bias, biases=self.groups.biases)
