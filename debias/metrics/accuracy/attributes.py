"""Counts of one of several bias attributes, from the counts of their combinations."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Margins, margins
from debias.types import Groups


def attribute_margins(counts: Tensor | Margins, groups: Groups, position: int) -> Margins:
    """Sum counts over the other bias attributes.

    Args:
        counts: result of ``margin_counts`` or ``joint_counts``.
        groups: names and numbering of the groups.
        position: position of the attribute in ``groups.attributes``.

    Returns:
        The counts for ``groups.alone(position)``. A sample whose combination is unknown stays
        unknown, even if this attribute is known.

    Example:
        >>> from debias.types import Attribute
        >>> size, place = Attribute("size", ("big", "small")), Attribute("place", ("in", "out"))
        >>> groups = Groups.product(("cat", "dog"), (size, place))
        >>> table = torch.tensor([[1, 2, 3, 4, 5], [0, 0, 1, 1, 0]])
        >>> attribute_margins(Margins(table, table, table), groups, 1).total.tolist()
        [[4, 6, 5], [1, 1, 0]]
    """
    return Margins(*(_summed(table, groups, position) for table in margins(counts)))


def each_alone(
    counts: Tensor | Margins, groups: Groups, train_frequencies: Tensor | None
) -> Iterator[tuple[str, tuple[Margins, Groups, Tensor | None]]]:
    """For each of several bias attributes: its name, and its counts, groups and frequencies."""
    for position, attribute in enumerate(groups.attributes):
        train = train_frequencies
        if train is not None:
            train = groups.marginal(train, position)
        own = attribute_margins(counts, groups, position)
        yield attribute.name, (own, groups.alone(position), train)


def _summed(table: Tensor, groups: Groups, position: int) -> Tensor:
    known = groups.marginal(table[:, :-1].flatten(), position).view(groups.rows, -1)
    return torch.cat([known, table[:, -1:]], dim=1)
