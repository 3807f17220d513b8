"""Group DRO: minimise the loss of the worst group, with exponentiated group weights."""

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_positive
from debias.losses.group_means import group_means


class GroupDROLoss(nn.Module):
    r"""Robust loss of Group DRO, with online exponentiated-gradient weights over the groups.

    .. math:: q_g \leftarrow \frac{q_g \exp(\eta\,(m_g + C/\sqrt{n_g}))}
              {\sum_h q_h \exp(\eta\,(m_h + C/\sqrt{n_h}))}, \qquad
              L = \sum_g q_g\, m_g

    where :math:`m_g` is the mean loss of group g in the batch, and :math:`n_g` its number of
    training samples. The weights are updated first and then used for the same batch. They are
    updated in training mode only, and carry no gradient.

    Source: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020;
    reference code kohpangwei/group_DRO.

    Args:
        groups: number of groups G.
        step_size: :math:`\eta > 0`.
        adjustment: :math:`C \ge 0`, the generalisation adjustment; needs ``counts``.
        counts: ``(G,)`` training samples of each group. A group without samples has weight 0.

    Raises:
        ValueError: ``step_size`` is not positive, ``adjustment`` is negative, ``counts`` is not one
            count per group with a positive one, or ``adjustment`` is positive without ``counts``.

    Differs from the reference: a group absent from the batch keeps its weight up to normalisation
    (there it is multiplied by ``exp(eta * C / sqrt(n))``). A positive C is added for every group
    (there only if the adjustment of all groups is positive). It is never added to the returned
    loss, whose gradient does not depend on it. Means are those of all processes. Six public
    versions disagree on these points, and on whether q is updated before (here) or after its use.

    Example:
        >>> robust = GroupDROLoss(groups=2, step_size=1.0)
        >>> loss = robust(torch.tensor([0.0, 2.0]), torch.tensor([0, 1]))
        >>> round(loss.item(), 4)  # 2 * e^2 / (1 + e^2)
        1.7616
    """

    def __init__(
        self,
        groups: int,
        *,
        step_size: float = 0.01,
        adjustment: float = 0.0,
        counts: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_positive({"step_size": step_size}, of="GroupDRO")
        check_at_least(0, {"adjustment": adjustment}, of="GroupDRO")
        if adjustment > 0 and counts is None:
            raise InputError(
                f"adjustment={adjustment} needs counts, the training samples of each of {groups} "
                "groups; got counts=None: pass them, or adjustment=0"
            )
        counts = torch.ones(groups) if counts is None else counts
        if len(counts) != groups or bool((counts < 0).any()) or not bool((counts > 0).any()):
            raise InputError(
                f"counts must hold the training samples of each of {groups} groups, and one of "
                f"them must be positive; got {counts.tolist()}"
            )
        self.step_size = step_size
        present = (counts > 0).cpu()
        start = torch.where(present, 1.0 / int(present.sum()), 0.0)
        self.register_buffer("margin", adjustment / counts.clamp(min=1).float().sqrt())
        self.register_buffer("log_weights", start.log())
        self.margin: Tensor
        self.log_weights: Tensor

    @property
    def weights(self) -> Tensor:
        """``(G,)`` group weights q, which sum to 1; stored as logarithms to prevent underflow."""
        return self.log_weights.exp()

    def forward(self, losses: Tensor, group: Tensor) -> Tensor:
        """Robust loss of one batch; in training mode, update the group weights first.

        Args:
            losses: ``(N,)`` float loss per sample.
            group: ``(N,)`` int64 in [0, G); -1 leaves the sample out.

        Returns:
            Scalar.
        """
        means, counts = group_means(losses, group, len(self.log_weights))
        if self.training:
            self.log_weights = self._updated(means.detach(), counts)
        return torch.dot(self.weights.to(means.dtype), means)

    def _updated(self, means: Tensor, counts: Tensor) -> Tensor:
        step = self.step_size * (means + self.margin) * (counts > 0)
        return torch.log_softmax(self.log_weights + step, dim=0).to(self.log_weights.dtype)
