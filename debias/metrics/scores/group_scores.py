"""F1, ranking and calibration of each bias value as metrics, exact under any sharding."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from debias.errors import InputError
from debias.metrics.accuracy.counts import Range, add_range, check_batch, check_range
from debias.metrics.exact_metrics import ExactMetric, GroupCounts
from debias.metrics.scores.by_bias import calibration_scalars, f1_scalars, ranking_scalars
from debias.metrics.scores.calibration import (
    Curve,
    Reliability,
    by_bias,
    check_probabilities,
    decision_confidence,
    positive_confidence,
    reliability,
    reliability_curve,
)
from debias.metrics.scores.ranking import check_scores
from debias.types import Groups


class GroupF1(GroupCounts):
    """F1 of each value of the bias attribute; state and ``update`` as in ``GroupCounts``."""

    def __init__(self, groups: Groups) -> None:
        super().__init__(groups, f1_scalars)


class GroupRanking(ExactMetric):
    """AUROC, average precision and Borkan's areas of each value of the bias attribute.

    Keeps every score, since exact areas are not sums; a process that saw no batch is welcome.

    Args:
        groups: names and numbering of the groups.
    """

    higher_is_better = True

    scores: list[Tensor]
    targets: list[Tensor]
    biases: list[Tensor]

    def __init__(self, groups: Groups) -> None:
        super().__init__()
        self.groups = groups
        for name in ("scores", "targets", "biases"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @property
    def dtype(self) -> torch.dtype:
        """What torchmetrics sends an empty list in: the type of the other processes' scores."""
        return torch.float64

    def update(self, scores: Tensor, target: Tensor, bias: Tensor) -> None:
        """Add one batch; does not wait for the device.

        Args:
            scores: ``(N, outputs)`` float, probabilities as a rule.
            target: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label.
            bias: ``(N,)`` integer in [0, biases), or -1 where unknown.

        Raises:
            ValueError: a shape or dtype is wrong. A value out of range is reported by ``compute``,
                on all processes.
        """
        check_batch(target, target, bias, self.groups)
        check_scores(scores, bias, self.groups)
        # one dimension each: several would not survive a process without a batch
        for state, values in ((self.scores, scores), (self.targets, target), (self.biases, bias)):
            state.append(values.detach().double().flatten())

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``ranking_scalars`` defines them.

        Raises:
            ValueError: a target or bias was out of range, or a score NaN.
        """
        scores, target, bias = (
            (dim_zero_cat(state) if len(state) else torch.zeros(0, dtype=torch.float64)).cpu()
            for state in (self.scores, self.targets, self.biases)
        )
        scores, target, bias = scores.view(-1, self.groups.outputs), target.long(), bias.long()
        target = target.view(-1, self.groups.outputs) if self.groups.multi_label else target
        return ranking_scalars(scores, target, bias, self.groups)


class GroupCalibration(ExactMetric):
    """Expected and maximum calibration error of each value of the bias attribute and each group.

    Args:
        groups: names and numbering of the groups.
        bins: how many, of equal width.
        positive: take the probability of the positive class against its being true, in place of the
            probability of the decision against its being right. Two classes or several labels only.

    Raises:
        ValueError: ``positive`` with three classes or more, or ``bins`` is not at least 1.
    """

    higher_is_better = False

    samples: Tensor
    hits: Tensor
    confidence: Tensor
    least: Tensor
    greatest: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, groups: Groups, *, bins: int = 15, positive: bool = False) -> None:
        super().__init__()
        if bins < 1 or (positive and groups.rows != 2 and not groups.multi_label):
            raise InputError(
                f"bins={bins}, positive={positive} for {groups.rows} classes: positive needs two "
                "classes"
            )
        self.groups, self.bins = groups, bins
        self.convention = positive_confidence if positive else decision_confidence
        shape = (groups.rows, groups.biases + 1, bins)
        for name, dtype in (
            ("samples", torch.long),
            ("hits", torch.long),
            ("confidence", torch.float64),
        ):
            self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")
        self.add_state("least", torch.zeros(3, dtype=torch.long), dist_reduce_fx="min")
        self.add_state("greatest", torch.zeros(3, dtype=torch.long), dist_reduce_fx="max")
        self.add_state("lowest", torch.tensor(0.5, dtype=torch.float64), dist_reduce_fx="min")
        self.add_state("highest", torch.tensor(0.5, dtype=torch.float64), dist_reduce_fx="max")

    def update(self, probabilities: Tensor, target: Tensor, bias: Tensor) -> None:
        """Add one batch; does not wait for the device.

        Args:
            probabilities: ``(N, classes)`` or ``(N, L)`` float in [0, 1].
            target: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label.
            bias: ``(N,)`` integer in [0, biases), or -1 where unknown.

        Raises:
            ValueError: a shape or dtype is wrong. A value out of range is reported by ``compute``,
                on all processes.
        """
        check_batch(target, target, bias, self.groups)
        check_scores(probabilities, bias, self.groups)
        probabilities = probabilities.detach()
        told = self.convention(probabilities, target, self.groups)
        added = reliability(*told, target, bias, self.groups, bins=self.bins)
        self.samples = self.samples + added.samples
        self.hits = self.hits + added.hits
        self.confidence = self.confidence + added.confidence
        self.least, self.greatest = add_range(
            Range(self.least, self.greatest), target, target, bias
        )
        stated = torch.cat(
            (probabilities.double().flatten(), self.lowest.view(1), self.highest.view(1))
        )
        self.lowest, self.highest = stated.aminmax()

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``calibration_scalars`` defines them.

        Raises:
            ValueError: a target, bias or probability was out of range.
        """
        return calibration_scalars(self._table(), self.groups)

    def curves(self) -> Curve:
        """What to draw of each value of the bias attribute, ``(outcomes, biases, bins)``; every
        process must call it.

        Raises:
            ValueError: a target, bias or probability was out of range.
        """
        with self.sync_context():
            table = self._table()
        return reliability_curve(by_bias(table, self.groups))

    def _table(self) -> Reliability:
        check_range(Range(self.least, self.greatest), self.groups)
        check_probabilities(self.lowest, self.highest)
        return Reliability(self.samples.cpu(), self.hits.cpu(), self.confidence.cpu())
