"""What predictions tell of the bias, and what their errors tell of the minority, as metrics."""

from __future__ import annotations

from torch import Tensor

from debias.metrics.accuracy.counts import Range, add_counts, check_range, table_shape
from debias.metrics.accuracy.group_counts import GroupCounts
from debias.metrics.discovery.errors import discovery_scalars
from debias.metrics.discovery.information import information_scalars


class BiasInformation(GroupCounts):
    """Mutual information and association of predictions and bias, from a table of counts.

    Args:
        groups: names and numbering of the groups.

    Raises:
        ValueError: the classes are so many that their counts would not fit; see ``table_shape``.

    Example:
        >>> import torch
        >>> from debias.types import Groups
        >>> metric = BiasInformation(Groups(("a", "b"), ("x", "y")))
        >>> prediction, target, bias = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]])
        >>> metric.update(prediction, target, bias)
        >>> round(metric.compute()["information/cramers_v"].item(), 6)
        1.0
    """

    higher_is_better = False
    shape = staticmethod(table_shape)
    add = staticmethod(add_counts)

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``information_scalars`` defines them.

        Raises:
            ValueError: a target, bias or prediction was out of range.
        """
        return information_scalars(self._table(), self.groups)

    def _table(self) -> Tensor:
        check_range(Range(self.least, self.greatest), self.groups)
        return self.counts.cpu()


class ErrorDiscovery(GroupCounts):
    """How well the errors of a model find the samples that the shortcut misleads.

    Args:
        groups: names and numbering of the groups; ``aligned`` says which are not the minority.
    """

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``discovery_scalars`` defines them.

        Raises:
            ValueError: a target, bias or prediction was out of range.
        """
        return discovery_scalars(self._table(), self.groups)
