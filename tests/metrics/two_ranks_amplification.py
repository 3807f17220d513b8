"""One of two gloo processes: every bias amplification case under every sharding.

Usage: ``python -m tests.metrics.two_ranks_amplification RANK RENDEZVOUS RESULT``.
"""

from __future__ import annotations

import json
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from tests.metrics.amplification_cases import every_case, scalars_after, worked


def refusal(rank: int) -> str:
    """What this process says when the other one was fed a bias that is out of range."""
    metric = worked().make()
    one = torch.tensor([0])
    metric.update(one, one, torch.tensor([7 * rank]), one)
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
        f"{case.name}/{name}": scalars_after(case, parts[rank])
        for case in every_case()
        for name, parts in case.shardings().items()
    }
    result.write_text(json.dumps({"results": found, "refusal": refusal(rank)}))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
