"""One of two gloo processes: every case under every sharding.

Usage: ``python -m tests.metrics.two_ranks RANK RENDEZVOUS RESULT``.
Run by ``test_group_counts.py`` once for all cases, since starting the processes is what takes the time.
"""

from __future__ import annotations

import json
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from debias.metrics import GroupCounts
from tests.metrics.golden_cases import every_case
from tests.metrics.metrics_cases import Case, shardings


def run(case: Case, batches: list[Tensor]) -> dict:
    metric = GroupCounts(case.groups, train_frequencies=case.train_frequencies)
    for rows in batches:
        metric.update(case.prediction[rows], case.target[rows], case.bias[rows])
    scalars = {key: value.item() for key, value in metric.compute().items()}
    return {"scalars": scalars, "report": metric.report(), "own": int(metric.counts.sum())}


def refusal(bias: int) -> str:
    """What this process says when it, or the other one, was fed a bias that is out of range."""
    metric = GroupCounts(every_case()[0].groups)
    metric.update(torch.tensor([0]), torch.tensor([0]), torch.tensor([bias]))
    try:
        metric.compute()
    except ValueError as error:
        return str(error)
    return "accepted"


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
    result.write_text(json.dumps({"results": found, "refusals": [refusal(7 * rank), refusal(-7 * rank)]}))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
