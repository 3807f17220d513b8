"""Scores of attribution maps, summed by group, in one process or in many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.attention.summary import SCORES, ScoreSums, add_scores, score_scalars
from debias.metrics.exact_metrics import ExactMetric
from debias.types import Groups


class AttentionScores(ExactMetric):
    """Means of attribution scores over all images, the right and wrong ones, and the groups.

    The state is sums: the result is the same, up to float64 rounding, under any order, batching or
    sharding.

    Args:
        groups: names and numbering of the groups.
        names: of the scores that ``update`` will be given; by default those of
            ``attention_scores``.

    Example:
        >>> groups = Groups(("landbird", "waterbird"), ("land", "water"))
        >>> metric = AttentionScores(groups, names=("attention_iou",))
        >>> scores = {"attention_iou": torch.tensor([0.5, 1.0, torch.nan])}
        >>> metric.update(scores, torch.tensor([0, 3, 3]), torch.tensor([True, False, True]))
        >>> scalars = metric.compute()
        >>> scalars["attention_iou"].item(), scalars["attention_iou/waterbird-water"].item()
        (0.75, 1.0)
    """

    total: Tensor
    squares: Tensor
    defined: Tensor
    undefined: Tensor
    least: Tensor
    greatest: Tensor

    def __init__(self, groups: Groups, *, names: Sequence[str] = tuple(SCORES)) -> None:
        super().__init__()
        self.groups = groups
        self.names = tuple(names)
        shape = (len(self.names), groups.count + 1, 2)
        for state in ("total", "squares"):
            self.add_state(state, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        for state in ("defined", "undefined"):
            self.add_state(state, torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("least", torch.tensor(0), dist_reduce_fx="min")
        self.add_state("greatest", torch.tensor(0), dist_reduce_fx="max")

    def update(self, scores: Mapping[str, Tensor], group: Tensor, correct: Tensor) -> None:
        """Add one batch; does not wait for the device.

        Args:
            scores: ``(N,)`` float for each name, NaN where undefined.
            group: ``(N,)`` int64 as ``Groups.encode`` numbers them, -1 where the bias is unknown;
                one label's column when multi-label.
            correct: ``(N,)`` bool.

        Raises:
            ValueError: a score is missing, or a shape is wrong. A group out of range is reported by
                ``compute``.
        """
        if set(scores) != set(self.names):
            raise InputError(f"scores must be {', '.join(self.names)}; got {', '.join(scores)}")
        table = torch.stack([scores[name].double() for name in self.names])
        sums = ScoreSums(self.total, self.squares, self.defined, self.undefined)
        self.total, self.squares, self.defined, self.undefined = add_scores(
            sums, table, group, correct, self.groups
        )
        self.least = torch.cat((group, self.least.view(1))).amin()
        self.greatest = torch.cat((group, self.greatest.view(1))).amax()

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``score_scalars`` defines them.

        Raises:
            ValueError: a group was out of range.
        """
        if int(self.least) < -1 or int(self.greatest) >= self.groups.count:
            found = self.least if int(self.least) < -1 else self.greatest
            raise InputError(
                f"group {int(found)} is outside [-1, {self.groups.count}): {self.groups.names}"
            )
        sums = ScoreSums(
            *(state.cpu() for state in (self.total, self.squares, self.defined, self.undefined))
        )
        return score_scalars(sums, self.names, self.groups)
