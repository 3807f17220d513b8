"""Predictions with known answers, and the ways to hand them to a metric. The golden ones are in ``golden_cases.py``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from debias.types import Groups

BIRDS = Groups(("landbird", "waterbird"), ("land", "water"), aligned=((0, 0), (1, 1)))
TRIPLE = Groups(("0", "1", "2"), ("0", "1", "2"), aligned=((0, 0), (1, 1), (2, 2)))
WATERBIRDS_TRAIN = (3498, 184, 56, 1057)


@dataclass(frozen=True)
class Case:
    """One evaluation set and the scalars that it must give."""

    name: str
    groups: Groups
    prediction: Tensor
    target: Tensor
    bias: Tensor
    expected: Mapping[str, float]
    counts: tuple[int, ...] | None = None
    train_frequencies: Tensor | None = None
    tolerance: float = 1e-9

    def shuffled(self, seed: int) -> Tensor:
        """``(N,)`` an order that has nothing to do with the groups."""
        return torch.randperm(len(self.target), generator=torch.Generator().manual_seed(seed))

    def by_group(self) -> Tensor:
        """``(N,)`` an order in which every group is in one piece."""
        group = self.groups.encode(self.target, self.bias)
        return (group if group.ndim == 1 else group[:, 0]).argsort(stable=True)


def shardings(case: Case) -> dict[str, list[list[Tensor]]]:
    """Name -> for each of two processes, the index batches it sees."""
    every, ordered = torch.arange(len(case.target)), case.by_group()
    group = case.groups.encode(case.target, case.bias).reshape(len(case.target), -1)[:, 0]
    first = group == group[ordered[0]]
    return {
        "alternating": [list(every[0::2].split(7)), list(every[1::2].split(5))],
        "one_group_first": [[every[first]], list(every[~first].split(4))],
        "one_idle": [list(case.shuffled(1).split(9)), []],
        "sorted_halves": [list(part.split(6)) for part in ordered.chunk(2)],
    }


def worked() -> Case:
    """metrics.md 4.1: y=0000111111, a=0001111100, yhat=0011111001.

    (0,0): images 0-2 predicted 0 0 1, 2 of 3. (0,1): image 3 predicted 1, 0 of 1. (1,1): images 4-7 predicted
    1 1 1 0, 3 of 4. (1,0): images 8-9 predicted 0 1, 1 of 2. Average 6/10; group mean (2/3 + 0 + 1/2 + 3/4) / 4 =
    23/48; recalls 2/4 and 4/6, mean 7/12; adjusted (3498 * 2/3 + 184 * 0 + 56 / 2 + 1057 * 3/4) / 4795, which is
    3152.75 / 4795. Aligned groups (2/3 + 3/4) / 2 = 17/24 and samples 5/7; conflicting groups 1/4 and samples 1/3.
    """
    target, bias, prediction = (
        torch.tensor([int(digit) for digit in digits]) for digits in ("0000111111", "0001111100", "0011111001")
    )
    expected = {
        "average": 0.6,
        "adjusted_average": 3152.75 / 4795,
        "worst_group": 0.0,
        "worst_class": 0.5,
        "group_balanced": 23 / 48,
        "class_balanced": 7 / 12,
        "gap": 0.75,
        "robustness_gap": 0.6,
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

    (0,0): 1 of 2. (0,1): 1 of 1. (1,1): 2 of 2. One waterbird of unknown bias, wrong: it counts in the average, 4/6,
    and in the recall of waterbirds, 2/3, and in no group. Aligned (1/2 + 1) / 2 and 3/4; conflicting: (0,1) only.
    Adjusted over the groups seen: (1 * 1/2 + 1 * 1 + 2 * 1) / (1 + 1 + 2).
    """
    expected = {
        "average": 4 / 6,
        "adjusted_average": 3.5 / 4,
        "worst_group": 0.5,
        "worst_class": 2 / 3,
        "group_balanced": 2.5 / 3,
        "class_balanced": 2 / 3,
        "gap": 0.5,
        "robustness_gap": 1 / 6,
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

    Targets (1,0) (0,0) (1,1), biases 0 1 1, predictions (1,0) (1,0) (0,1). Smiling: the present one of bias 0 is
    right, the absent one of bias 1 wrong, the present one of bias 1 wrong. Blond: absent 0 and 1 right, present 1
    right.
    Pairs right: 4 of 6. Rows: 0/1, 1/2, 2/2, 1/1. Groups seen: 0, 1, 0, 1, 1, 1 (mean 4/6).
    """
    groups = Groups(("not Smiling", "Smiling", "not Blond", "Blond"), ("woman", "man"), multi_label=True)
    expected = {
        "average": 4 / 6,
        "worst_group": 0.0,
        "worst_class": 0.0,
        "group_balanced": 4 / 6,
        "class_balanced": 2.5 / 4,
        "gap": 1.0,
        "robustness_gap": 4 / 6,
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
