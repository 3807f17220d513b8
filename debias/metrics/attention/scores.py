"""Scores of attribution maps, averaged over all images, right and wrong ones, and groups."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import aligned_groups
from debias.metrics.attention.maps import SCORES
from debias.metrics.exact_metrics import ExactMetric
from debias.types import Groups


class AttentionScores(ExactMetric):
    """Means of attribution scores over all images, the right and wrong ones, and the groups.

    The state is sums: the result is the same, up to float64 rounding, under any order, batching or
    sharding.

    Source: the aggregates of aaronserianni/attention-iou. What it calls "same" and "different" on
    Waterbirds are the groups of ``groups.aligned`` and the others, pooled by image.

    Args:
        groups: names and numbering of the groups.
        names: of the S scores that ``update`` will be given; by default those of
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

    #: ``(4, S, G + 1, 2)`` by group and correctness: sum of the defined scores, sum of their
    #: squares, how many are defined, and how many are not. The last group is the unknown bias.
    sums: Tensor
    least: Tensor
    greatest: Tensor

    def __init__(self, groups: Groups, *, names: Sequence[str] = tuple(SCORES)) -> None:
        super().__init__()
        self.groups = groups
        self.names = tuple(names)
        sums = torch.zeros(4, len(self.names), groups.count + 1, 2, dtype=torch.float64)
        self.add_state("sums", sums, dist_reduce_fx="sum")
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
        if table.ndim != 2 or group.shape != table.shape[1:] or correct.shape != group.shape:
            raise InputError(
                f"scores must be (S, N), group and correct (N,); got {tuple(table.shape)}, "
                f"{tuple(group.shape)} and {tuple(correct.shape)}: when multi-label, give one "
                "label's column at a time"
            )
        slots = self.groups.count + 1
        # a remainder is never negative here: it sends -1, the unknown, to the last slot
        slot = group.clamp(-1, self.groups.count - 1).remainder(slots)
        known, values = (~table.isnan()).double(), table.nan_to_num()
        columns = torch.stack((values, values.square(), known, 1 - known))
        flat = columns.new_zeros(*columns.shape[:2], 2 * slots)
        added = flat.index_add(2, slot * 2 + correct.long(), columns)
        self.sums = self.sums + added.view_as(self.sums)
        self.least = torch.cat((group, self.least.view(1))).amin()
        self.greatest = torch.cat((group, self.greatest.view(1))).amax()

    def compute(self) -> dict[str, Tensor]:
        """Means of the defined scores, under keys that depend on the names and the groups only.

        Returns:
            Float64 scalars on the CPU: ``NAME`` (over all images, of unknown bias too),
            ``NAME/correct``, ``NAME/wrong``, ``NAME/bias_aligned`` and ``NAME/bias_conflicting``
            (if ``groups.aligned``), ``NAME/<group>``; each is NaN only where no image defines it.
            ``NAME/deviation`` is the standard deviation of the mean over all images, the limit of
            that of bootstrap means; ``NAME/undefined`` the share of images without a score.

        Raises:
            ValueError: a group was out of range.
        """
        if int(self.least) < -1 or int(self.greatest) >= self.groups.count:
            found = self.least if int(self.least) < -1 else self.greatest
            raise InputError(
                f"group {int(found)} is outside [-1, {self.groups.count}): {self.groups.names}"
            )
        parts, scalars = _parts(self.groups), {}
        for name, (total, squares, defined, undefined) in zip(
            self.names, self.sums.cpu().transpose(0, 1), strict=True
        ):
            scalars[name] = mean = total.sum() / defined.sum()
            variance = (squares.sum() / defined.sum() - mean.square()).clamp(min=0)
            scalars[f"{name}/deviation"] = (variance / defined.sum()).sqrt()
            scalars[f"{name}/undefined"] = undefined.sum() / (undefined.sum() + defined.sum())
            for part, where in parts.items():
                scalars[f"{name}/{part}"] = total[where].sum() / defined[where].sum()
        return scalars


def _parts(groups: Groups) -> dict[str, Tensor]:
    """Which cells ``(G + 1, 2)`` of the table belong to each part of the data."""
    cells = torch.zeros(groups.count + 1, 2, dtype=torch.bool)
    parts = {"correct": cells.clone(), "wrong": cells.clone()}
    parts["correct"][:, 1], parts["wrong"][:, 0] = True, True
    if groups.aligned:
        aligned = aligned_groups(groups)[:, None]
        for name, side in (("bias_aligned", aligned), ("bias_conflicting", ~aligned)):
            parts[name] = cells.clone()
            parts[name][:-1] = side
    for number, name in enumerate(groups.names):
        parts[name] = cells.clone()
        parts[name][number] = True
    return parts
