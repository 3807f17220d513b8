"""Predictions with known group accuracies. The golden ones are in ``golden_cases.py``."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric

from debias.metrics.exact_metrics import GroupCounts
from debias.types import Groups
from tests.metrics.handed import Handed

BIRDS = Groups(("landbird", "waterbird"), ("land", "water"), aligned=((0, 0), (1, 1)))
TRIPLE = Groups(("0", "1", "2"), ("0", "1", "2"), aligned=((0, 0), (1, 1), (2, 2)))
WATERBIRDS_TRAIN = (3498, 184, 56, 1057)


@dataclass(frozen=True)
class Case(Handed):
    """One evaluation set, predictions for it, and the scalars that these must give."""

    name: str
    groups: Groups
    prediction: Tensor
    target: Tensor
    bias: Tensor
    expected: Mapping[str, float]
    counts: tuple[int, ...] | None = None
    train_frequencies: Tensor | None = None
    tolerance: float = 1e-9
    metric: Callable[[Groups], Metric] | None = None

    def make(self) -> Metric:
        """``GroupCounts``, unless the case is of another metric."""
        if self.metric is not None:
            return self.metric(self.groups)
        return GroupCounts(self.groups, train_frequencies=self.train_frequencies)

    def feed(self, metric: Metric, rows: Tensor) -> None:
        metric.update(self.prediction[rows], self.target[rows], self.bias[rows])

    def parts(self) -> Tensor:
        """The groups; of several labels, those of the first."""
        return self.groups.encode(self.target, self.bias).reshape(len(self.target), -1)[:, 0]


def worked() -> Case:
    """metrics.md 4.1: y=0000111111, a=0001111100, yhat=0011111001.

    (0,0): images 0-2 predicted 0 0 1, 2 of 3. (0,1): image 3 predicted 1, 0 of 1. (1,1): images 4-7
    predicted 1 1 1 0, 3 of 4. (1,0): images 8-9 predicted 0 1, 1 of 2. Average 6/10; group mean
    (2/3 + 0 + 1/2 + 3/4) / 4 = 23/48; recalls 2/4 and 4/6, mean 7/12, 1/6 apart; adjusted (3498 *
    2/3 + 184 * 0 + 56 / 2 + 1057 * 3/4) / 4795, which is 3152.75 / 4795. Aligned groups (2/3 + 3/4)
    / 2 = 17/24 and samples 5/7; conflicting groups 1/4 and samples 1/3.
    """
    target, bias, prediction = (
        torch.tensor([int(digit) for digit in digits])
        for digits in ("0000111111", "0001111100", "0011111001")
    )
    expected = {
        "average": 0.6,
        "adjusted_average": 3152.75 / 4795,
        "worst_group": 0.0,
        "worst_class": 0.5,
        "group_balanced": 23 / 48,
        "class_balanced": 7 / 12,
        "class_difference": 1 / 6,
        "gap": 0.75,
        "robustness_gap": 0.6,
        "greatest_deviation": 0.6,
        "group_ratio": 0.0,
        "bias_aligned": 17 / 24,
        "bias_conflicting": 0.25,
        "bias_aligned_samples": 5 / 7,
        "bias_conflicting_samples": 1 / 3,
        "accuracy/landbird-land": 2 / 3,
        "accuracy/landbird-water": 0.0,
        "accuracy/waterbird-land": 0.5,
        "accuracy/waterbird-water": 0.75,
    }
    frequencies = torch.tensor(WATERBIRDS_TRAIN)
    return Case("worked", BIRDS, prediction, target, bias, expected, (3, 1, 2, 4), frequencies)


def empty_group() -> Case:
    """Group (waterbird, land) is declared and never seen; one bias is unknown.

    (0,0): 1 of 2. (0,1): 1 of 1. (1,1): 2 of 2. One waterbird of unknown bias, wrong: it counts in
    the average, 4/6, and in the recall of waterbirds, 2/3, and in no group. Aligned (1/2 + 1) / 2
    and 3/4; conflicting: (0,1) only. Adjusted over the groups seen: (1 * 1/2 + 1 * 1 + 2 * 1) / (1
    + 1 + 2). Farthest from 4/6 are the best groups.
    """
    expected = {
        "average": 4 / 6,
        "adjusted_average": 3.5 / 4,
        "worst_group": 0.5,
        "worst_class": 2 / 3,
        "group_balanced": 2.5 / 3,
        "class_balanced": 2 / 3,
        "class_difference": 0.0,
        "gap": 0.5,
        "robustness_gap": 1 / 6,
        "greatest_deviation": 1 / 3,
        "group_ratio": 0.5,
        "bias_aligned": 0.75,
        "bias_conflicting": 1.0,
        "bias_aligned_samples": 0.75,
        "bias_conflicting_samples": 1.0,
        "accuracy/landbird-land": 0.5,
        "accuracy/landbird-water": 1.0,
        "accuracy/waterbird-land": math.nan,
        "accuracy/waterbird-water": 1.0,
    }
    return Case(
        "empty_group",
        BIRDS,
        prediction=torch.tensor([0, 1, 0, 1, 1, 0]),
        target=torch.tensor([0, 0, 0, 1, 1, 1]),
        bias=torch.tensor([0, 0, 1, 1, 1, -1]),
        expected=expected,
        counts=(2, 1, 0, 2),
        train_frequencies=torch.tensor([1, 1, 5, 2]),
    )


def multi_label() -> Case:
    """Two labels over one bias attribute: rows not-smiling, smiling, not-blond, blond.

    Targets (1,0) (0,0) (1,1), biases 0 1 1, predictions (1,0) (1,0) (0,1). Smiling: the present one
    of bias 0 is right, the absent one of bias 1 wrong, the present one of bias 1 wrong. Blond:
    absent 0 and 1 right, present 1 right. Pairs right: 4 of 6. Rows: 0/1, 1/2, 2/2, 1/1, which lie
    1/2, 1, 1, 1/2, 1/2 and 0 apart. Groups seen: 0, 1, 0, 1, 1, 1 (mean 4/6).
    """
    groups = Groups(
        ("not Smiling", "Smiling", "not Blond", "Blond"), ("woman", "man"), multi_label=True
    )
    expected = {
        "average": 4 / 6,
        "worst_group": 0.0,
        "worst_class": 0.0,
        "group_balanced": 4 / 6,
        "class_balanced": 2.5 / 4,
        "class_difference": 3.5 / 6,
        "gap": 1.0,
        "robustness_gap": 4 / 6,
        "greatest_deviation": 4 / 6,
        "group_ratio": 0.0,
        "accuracy/not Smiling-woman": math.nan,
        "accuracy/not Smiling-man": 0.0,
        "accuracy/Smiling-woman": 1.0,
        "accuracy/Smiling-man": 0.0,
        "accuracy/not Blond-woman": 1.0,
        "accuracy/not Blond-man": 1.0,
        "accuracy/Blond-woman": math.nan,
        "accuracy/Blond-man": 1.0,
    }
    return Case(
        "multi_label",
        groups,
        prediction=torch.tensor([[1, 0], [1, 0], [0, 1]]),
        target=torch.tensor([[1, 0], [0, 0], [1, 1]]),
        bias=torch.tensor([0, 1, 1]),
        expected=expected,
        counts=(0, 1, 1, 1, 1, 1, 0, 1),
    )
