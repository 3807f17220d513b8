"""Attention scores averaged over all images, correct and wrong images, and each group."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import aligned_groups
from debias.metrics.attention.maps import SCORES
from debias.metrics.exact_metrics import ExactMetric
from debias.types import Groups


class AttentionScores(ExactMetric):
    """Means of attention scores over all images, correct and wrong images, and each group.

    The state holds sums. Up to float64 rounding, the result does not depend on the order, the
    batches or the number of processes.

    Source: the aggregates of aaronserianni/attention-iou. Its "same" and "different" on Waterbirds
    are here the means over all images of the aligned and of the conflicting groups.

    Args:
        groups: names and numbering of the groups.
        names: names of the S scores that you pass to ``update``. Default: those of
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

    #: ``(4, S, G + 1, 2)``: four sums per score, group and correctness. The sums are: scores, their
    #: squares, number of defined scores, number of NaN scores. The last group is unknown bias.
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
        """Add the scores of one batch. Does not synchronise with the device.

        Args:
            scores: ``(N,)`` float for each name, NaN if undefined.
            group: ``(N,)`` int64 group of each image from ``Groups.encode``, -1 if the bias is
                unknown. Multi-label: the column of one label.
            correct: ``(N,)`` bool, whether each prediction is correct.

        Raises:
            ValueError: the names differ from those of the metric, or the shapes do not match.
                ``compute`` reports a group out of range.
        """
        if set(scores) != set(self.names):
            raise InputError(
                f"scores must have the names {', '.join(self.names)}; got {', '.join(scores)}"
            )
        table = torch.stack([scores[name].double() for name in self.names])
        if table.ndim != 2 or group.shape != table.shape[1:] or correct.shape != group.shape:
            raise InputError(
                f"scores must be (S, N), group and correct (N,); got {tuple(table.shape)}, "
                f"{tuple(group.shape)} and {tuple(correct.shape)}. With several labels, pass the "
                "column of one label at a time"
            )
        slots = self.groups.count + 1
        # torch's remainder is never negative, so it sends -1, the unknown bias, to the last slot
        slot = group.clamp(-1, self.groups.count - 1).remainder(slots)
        known, values = (~table.isnan()).double(), table.nan_to_num()
        columns = torch.stack((values, values.square(), known, 1 - known))
        flat = columns.new_zeros(*columns.shape[:2], 2 * slots)
        added = flat.index_add(2, slot * 2 + correct.long(), columns)
        self.sums = self.sums + added.view_as(self.sums)
        self.least = torch.cat((group, self.least.view(1))).amin()
        self.greatest = torch.cat((group, self.greatest.view(1))).amax()

    def compute(self) -> dict[str, Tensor]:
        """Means of the scores over all images and over parts of them. NaN scores are left out.

        Returns:
            float64 scalars on the CPU: ``NAME`` (all images, also those of unknown bias),
            ``NAME/correct``, ``NAME/wrong``, ``NAME/bias_aligned`` and ``NAME/bias_conflicting``
            (if ``groups.aligned`` is not empty), and ``NAME/<group>``. A mean is NaN only if no
            image has a defined score. ``NAME/deviation`` is the standard error of the mean over
            all images. It is the limit of the standard deviation of bootstrap means.
            ``NAME/undefined`` is the share of images whose score is NaN.

        Raises:
            ValueError: a batch held a group outside [-1, G).
        """
        if int(self.least) < -1 or int(self.greatest) >= self.groups.count:
            outlier = self.least if int(self.least) < -1 else self.greatest
            raise InputError(
                f"group must lie in [-1, {self.groups.count}); got {int(outlier)}: the groups are "
                f"{self.groups.names}"
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
    """Bool masks ``(G + 1, 2)`` over group and correctness, for each part of the images by name."""
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
