"""One of two gloo processes: what BiasInformation and ErrorDiscovery find under every sharding.

Usage: ``python -m tests.metrics.two_information_ranks RANK RENDEZVOUS RESULT``.
"""

from __future__ import annotations

import json
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from debias.metrics.bias_information import BiasInformation, ErrorDiscovery
from debias.metrics.group_counts import GroupCounts
from tests.metrics.information_cases import discovery_cases, information_cases
from tests.metrics.metrics_cases import Case, shardings


def every() -> list[tuple[type[GroupCounts], Case]]:
    """Each metric with each of its cases."""
    found: list[tuple[type[GroupCounts], Case]] = [(BiasInformation, case) for case in information_cases()]
    return found + [(ErrorDiscovery, case) for case in discovery_cases()]


def scalars(kind: type[GroupCounts], case: Case, batches: list[Tensor]) -> dict[str, float]:
    metric = kind(case.groups)
    for rows in batches:
        metric.update(case.prediction[rows], case.target[rows], case.bias[rows])
    return {key: value.item() for key, value in metric.compute().items()}


def main(rank: int, rendezvous: str, result: Path) -> None:
    torch.set_num_threads(1)
    # a process that saw no batch is what is tested here
    warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
    distributed.init_process_group(
        "gloo", init_method=rendezvous, rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    found = {
        f"{case.name}/{name}": scalars(kind, case, parts[rank])
        for kind, case in every()
        for name, parts in shardings(case).items()
    }
    result.write_text(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
