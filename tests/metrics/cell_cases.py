"""Metrics of attention and cells, each with a random evaluation set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torchmetrics import Metric

from debias.metrics.accuracy.counts import Tally
from debias.metrics.accuracy.scalars import accuracy
from debias.metrics.attention.scores import AttentionScores
from debias.metrics.exact_metrics import CellCounts
from tests.metrics.handed import Handed
from tests.metrics.metrics_cases import BIRDS

COUNT = 60
GENERATOR = torch.Generator().manual_seed(0)
THIRD = torch.randint(0, 3, (3, COUNT), generator=GENERATOR)[2]
RIGHT = torch.rand(COUNT, generator=GENERATOR) < 0.6
#: Groups of the birds but for waterbird-land, which stays empty; -1 is an unknown bias.
GROUP = torch.tensor([0, 1, 3, -1]).repeat(COUNT // 4)
SCORE = torch.rand(COUNT, generator=GENERATOR).masked_fill(THIRD == 0, torch.nan)


def read_cells(tally: Tally) -> dict[str, Tensor]:
    return {f"cell{place}": value for place, value in enumerate(accuracy(*tally))}


#: Name -> a new metric, and how it is fed some rows.
METRICS: dict[str, tuple[Callable[[], Metric], Callable[[Metric, Tensor], object]]] = {
    "attention": (
        lambda: AttentionScores(BIRDS, names=("s",)),
        lambda metric, rows: metric.update({"s": SCORE[rows]}, GROUP[rows], RIGHT[rows]),
    ),
    "cells": (
        lambda: CellCounts(4, read_cells),
        lambda metric, rows: metric.update(RIGHT[rows], GROUP[rows]),
    ),
}


@dataclass(frozen=True)
class CellCase(Handed):
    """One of ``METRICS`` with the samples above; what it finds is known elsewhere, and sums of
    floats are rounded.
    """

    name: str
    make: Callable[[], Metric]
    add: Callable[[Metric, Tensor], object]
    expected: Mapping[str, float] = field(default_factory=dict)
    rounding: float = 1e-14

    def feed(self, metric: Metric, rows: Tensor) -> None:
        self.add(metric, rows)

    def parts(self) -> Tensor:
        return GROUP


def every_case() -> list[CellCase]:
    """Each of ``METRICS``."""
    return [CellCase(name, make, add) for name, (make, add) in METRICS.items()]
