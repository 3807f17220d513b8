"""One of two gloo processes: every fairness and score case under every sharding.

Usage: ``python -m tests.metrics.two_ranks_scores RANK RENDEZVOUS RESULT``. Run by ``test_scores_metrics.py``.
"""

from __future__ import annotations

import json
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from debias.metrics.fairness import GroupFairness
from debias.metrics.scores import GroupCalibration, GroupRanking
from tests.metrics.metrics_cases import shardings
from tests.metrics.score_cases import ScoreCase, binary, every_case


def run(case: ScoreCase, batches: list[Tensor]) -> dict[str, float]:
    metric = case.metric(case.groups)
    for rows in batches:
        metric.update(case.prediction[rows], case.target[rows], case.bias[rows])
    return {key: value.item() for key, value in metric.compute().items()}


def refusals(rank: int) -> list[str]:
    """What this process says when the second one was fed a bias, a score or a probability that is out of range."""
    one = torch.tensor([1])
    fine = torch.tensor([[0.25, 0.75]])
    broken = torch.tensor([[torch.nan, 0.5]]) if rank else fine
    fed = [
        (GroupFairness, one, one + 4 * rank),
        (GroupRanking, fine, one + 4 * rank),
        (GroupRanking, broken, one),
        (GroupCalibration, fine, one + 4 * rank),
        (GroupCalibration, broken, one),
    ]
    said = []
    for kind, first, bias in fed:
        metric = kind(binary(2))
        metric.update(first, one, bias)
        try:
            metric.compute()
        except ValueError as error:
            said.append(str(error))
    return said


def main(rank: int, rendezvous: str, result: Path) -> None:
    torch.set_num_threads(1)
    # a process that saw no batch is what is tested here
    warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
    distributed.init_process_group(
        "gloo", init_method=rendezvous, rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    found = {
        f"{case.name}/{name}": run(case, parts[rank])
        for case in every_case()
        for name, parts in shardings(case).items()
    }
    result.write_text(json.dumps({"results": found, "refusals": refusals(rank)}))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
