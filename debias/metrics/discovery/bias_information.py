"""What predictions tell of the bias, and what their errors tell of the minority, as metrics."""

from __future__ import annotations

from debias.metrics.discovery.errors import discovery_scalars
from debias.metrics.discovery.information import information_scalars
from debias.metrics.exact_metrics import GroupCounts
from debias.types import Groups


class BiasInformation(GroupCounts):
    """Mutual information and association of predictions and bias, from a table of counts.

    Args:
        groups: names and numbering of the groups.

    Raises:
        ValueError: the classes are so many that their counts would not fit; see ``counts_shape``.

    Example:
        >>> import torch
        >>> from debias.types import Groups
        >>> metric = BiasInformation(Groups(("a", "b"), ("x", "y")))
        >>> prediction, target, bias = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]])
        >>> metric.update(prediction, target, bias)
        >>> round(metric.compute()["information/cramers_v"].item(), 6)
        1.0
    """

    def __init__(self, groups: Groups) -> None:
        super().__init__(groups, information_scalars, joint=True)


class ErrorDiscovery(GroupCounts):
    """How well the errors of a model find the samples that the shortcut misleads.

    Args:
        groups: names and numbering of the groups; ``aligned`` says which are not the minority.
    """

    def __init__(self, groups: Groups) -> None:
        super().__init__(groups, discovery_scalars)
