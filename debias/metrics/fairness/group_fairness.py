"""The fairness family as a metric: a table of counts, read as rates of each bias value."""

from __future__ import annotations

from torch import Tensor

from debias.metrics.accuracy.group_counts import GroupCounts
from debias.metrics.fairness.scalars import fairness_scalars
from debias.types import Groups


class GroupFairness(GroupCounts):
    """Parity, opportunity and odds over one bias attribute's values; else ``GroupCounts``.

    For several attributes make one of these for each, and one for their combinations
    (``intersect``).

    Args:
        groups: names and numbering of the groups.

    Differs from the reference: torchmetrics' ``BinaryFairness`` is wrong as soon as a batch lacks a
    group (issue #3489) and its keys change with the worst pair. A difference that only one group
    defines is NaN, so do not stop a training on it.

    Example:
        >>> import torch
        >>> metric = GroupFairness(Groups(("no", "yes"), ("left", "right")))
        >>> prediction, target = torch.tensor([[1, 0, 1, 1], [1, 0, 1, 0]])
        >>> metric.update(prediction, target, bias=torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()["demographic_parity_difference"].item()
        0.5
    """

    # differences are better lower, ratios higher
    higher_is_better = None  # type: ignore[assignment]

    def __init__(self, groups: Groups) -> None:
        super().__init__(groups)

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``fairness_scalars`` defines them.

        Raises:
            ValueError: a target, bias or prediction was out of range.
        """
        return fairness_scalars(self._table(), self.groups)
