"""The result of an evaluation: accuracies of every split, and the measures of every family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from debias.reports.split import Scalars, Split

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Evaluation:
    """What `debias evaluate` prints.

    Attributes:
        splits: accuracies of each split. A file of predictions has the one split "test".
        measures: the numbers of each family.
        left_out: the families that were not measured, and the reasons.
        positive: the positive one of two classes, or ``None``.
    """

    splits: Mapping[str, Split]
    measures: Mapping[str, Scalars]
    left_out: Mapping[str, str] = field(default_factory=dict)
    positive: str | None = None

    def table(self, split: str = "test") -> pandas.DataFrame:
        """Accuracy, interval and count of each group; see :func:`group_table`."""
        return group_table(self.splits[split])


def group_table(split: Split) -> pandas.DataFrame:
    """One row per group, or per class if no bias is known.

    The columns are ``accuracy``, ``low`` and ``high`` (the 95 % interval), and ``count``. Shares
    are in [0, 1].
    """
    import pandas

    names = [cell.name for cell in split.cells]
    keys = ("accuracy", "low", "high", "count")
    columns = {key: [getattr(cell, key) for cell in split.cells] for key in keys}
    return pandas.DataFrame(columns, index=pandas.Index(names, name=split.kind))
