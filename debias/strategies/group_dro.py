"""Group DRO: minimise the loss of the worst group."""

from torch import Tensor, nn

from debias.losses.classification import classification_losses
from debias.losses.group_dro import GroupDROLoss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class GroupDRO(Strategy):
    r"""Weight each group by its past loss, so that the worst group counts most.

    In each batch, :math:`m_g` is the mean loss of group g, and :math:`n_g` its number of training
    samples. First the weights are updated: :math:`q_g \propto q_g \exp(\eta (m_g + C/\sqrt{n_g}))`.
    Then the model is trained on :math:`\sum_g q_g m_g`. The published recipe draws group-balanced
    batches (``sampler.name=group_balanced``) and uses strong regularisation.

    Source: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020.

    Args:
        groups: the groups of the data, with single-label targets.
        frequencies: ``(G,)`` number of training samples in each group.
        step_size: :math:`\eta > 0`; with larger values the weights change faster.
        adjustment: :math:`C \ge 0`, the generalisation adjustment. It has more effect on groups
            with few training samples.

    Raises:
        ValueError: ``step_size`` is not positive, or ``adjustment`` is negative.

    Differs from the reference: see :class:`debias.losses.group_dro.GroupDROLoss`.
    """

    requires = ("bias", "groups")
    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        frequencies: Tensor,
        *,
        step_size: float = 0.01,
        adjustment: float = 0.0,
    ) -> None:
        super().__init__(groups)
        self.groups = groups
        self.robust = GroupDROLoss(
            groups.count, step_size=step_size, adjustment=adjustment, counts=frequencies
        )

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Group DRO loss of the batch; the group weights are logged."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        loss = self.robust(losses, self.groups.encode(batch.target, batch.bias))
        return Loss(loss, {"group_weight": self.robust.weights})
