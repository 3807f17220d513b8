"""One of two gloo processes: the metrics of attention, cues and frequency, under every sharding.

Usage: ``python -m tests.metrics.two_ranks_cells RANK RENDEZVOUS RESULT``.
Run by ``test_cells_two_ranks.py`` once for all metrics, since starting the processes is what takes the time.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed
from torchmetrics import Metric

from debias.metrics.attention_scores import AttentionScores
from debias.metrics.cues import (
    BackgroundChallenge,
    CuePreference,
    ErrorConsistencyScore,
    ShapeBias,
    ShortcutGaps,
    VariantAccuracy,
)
from debias.metrics.frequency import BandPassAccuracy, CriticalBand
from tests.metrics.metrics_cases import BIRDS

COUNT = 60
GENERATOR = torch.Generator().manual_seed(0)
FIRST, SECOND, THIRD = torch.randint(0, 3, (3, COUNT), generator=GENERATOR)
RIGHT = torch.rand(COUNT, generator=GENERATOR) < 0.6
#: Groups of the birds but for waterbird-land, which stays empty; -1 is an unknown bias.
GROUP = torch.tensor([0, 1, 3, -1]).repeat(COUNT // 4)
SCORE = torch.rand(COUNT, generator=GENERATOR).masked_fill(THIRD == 0, torch.nan)

#: Name -> a new metric, and how it is fed some rows.
METRICS: dict[str, tuple[Callable[[], Metric], Callable[[Metric, Tensor], None]]] = {
    "attention": (
        lambda: AttentionScores(BIRDS, names=("s",)),
        lambda metric, rows: metric.update({"s": SCORE[rows]}, GROUP[rows], RIGHT[rows]),
    ),
    "shape": (ShapeBias, lambda metric, rows: metric.update(FIRST[rows], SECOND[rows], THIRD[rows])),
    "consistency": (ErrorConsistencyScore, lambda metric, rows: metric.update(RIGHT[rows], FIRST[rows] == 0)),
    "cues": (
        lambda: CuePreference(("a", "b"), labels=3),
        lambda metric, rows: metric.update(FIRST[rows], torch.stack((SECOND[rows], THIRD[rows]), dim=1)),
    ),
    "variants": (
        lambda: VariantAccuracy(("mixed_same", "mixed_rand")),
        lambda metric, rows: [
            metric.update(FIRST[rows][at], SECOND[rows][at], name)
            for name, at in (("mixed_same", GROUP[rows] == 0), ("mixed_rand", GROUP[rows] != 0))
        ],
    ),
    "challenge": (lambda: BackgroundChallenge(4), lambda metric, rows: metric.update(RIGHT[rows], FIRST[rows])),
    "shortcuts": (
        lambda: ShortcutGaps(("bg", "obj"), train_frequencies=torch.tensor([[90, 5], [4, 1]])),
        lambda metric, rows: metric.update(RIGHT[rows], torch.stack((GROUP[rows].clamp(max=1), FIRST[rows] % 2), 1)),
    ),
    "band_pass": (
        lambda: BandPassAccuracy((0.2, 0.8)),
        lambda metric, rows: [
            metric.update(FIRST[rows][at], SECOND[rows][at], cutoff)
            for cutoff, at in ((0.2, GROUP[rows] == 0), (0.8, GROUP[rows] == 1), (None, GROUP[rows] > 1))
        ],
    ),
    "critical_band": (
        lambda: CriticalBand((0.0, 0.1), bands=3),
        lambda metric, rows: [
            metric.update(FIRST[rows][at], SECOND[rows][at], noise, band)
            for noise, right in ((0.0, True), (0.1, False))
            for band in range(3)
            for at in [(RIGHT[rows] == right) & (THIRD[rows] == band)]
        ],
    ),
}  # fmt: skip

EVERY = torch.arange(COUNT)
ORDERED = GROUP.argsort(stable=True)
#: Name -> for each of two processes, the batches it sees.
SHARDINGS: dict[str, list[list[Tensor]]] = {
    "alternating": [list(EVERY[0::2].split(7)), list(EVERY[1::2].split(5))],
    "one_group_first": [[EVERY[GROUP == 0]], list(EVERY[GROUP != 0].split(4))],
    "one_idle": [list(EVERY.flip(0).split(9)), []],
    "sorted_halves": [list(part.split(6)) for part in ORDERED.chunk(2)],
}


def run(name: str, batches: list[Tensor]) -> dict[str, float]:
    build, feed = METRICS[name]
    metric = build()
    for rows in batches:
        feed(metric, rows)
    return {key: value.item() for key, value in metric.compute().items()}


def refusal(group: int) -> list[str]:
    """What this process says when it, or the other one, was fed a group, or a cell, that is out of range."""
    attention, challenge = AttentionScores(BIRDS, names=("s",)), BackgroundChallenge(4)
    attention.update({"s": torch.ones(1)}, torch.tensor([group]), torch.tensor([True]))
    challenge.update(torch.tensor([True]), torch.tensor([group]))
    found = []
    for metric in (attention, challenge):
        try:
            metric.compute()
        except ValueError as error:
            found.append(str(error))
    return found


def main(rank: int, rendezvous: str, result: Path) -> None:
    torch.set_num_threads(1)
    # a process that saw no batch is what is tested here
    warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
    distributed.init_process_group(
        "gloo", init_method=rendezvous, rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    found = {f"{name}/{key}": run(name, parts[rank]) for name in METRICS for key, parts in SHARDINGS.items()}
    result.write_text(json.dumps({"results": found, "refusals": [refusal(7 * rank), refusal(-7 * rank)]}))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
