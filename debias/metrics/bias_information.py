"""What predictions tell of the bias, and what their errors tell of the minority, as metrics."""

from __future__ import annotations

from torch import Tensor

from debias.metrics.functional.discovery import discovery_scalars
from debias.metrics.functional.information import information_scalars
from debias.metrics.group_counts import GroupCounts


class BiasInformation(GroupCounts):
    """Mutual information and association of predictions and bias, from the same state as the group accuracies.

    Args:
        groups: names and numbering of the groups.

    Example:
        >>> import torch
        >>> from debias.types import Groups
        >>> metric = BiasInformation(Groups(("a", "b"), ("x", "y")))
        >>> metric.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]))
        >>> round(metric.compute()["information/cramers_v"].item(), 6)
        1.0
    """

    higher_is_better = False

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``information_scalars`` defines them.

        Raises:
            ValueError: a target, bias or prediction was out of range.
        """
        return information_scalars(self._table(), self.groups)


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
