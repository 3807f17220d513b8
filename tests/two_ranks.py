"""Gloo processes hold some samples each, for tests that compare them with one process."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from tests.forked import FORKED

OnRank = Callable[[int], dict[str, Any]]


def found_by_both(on_rank: OnRank, folder: Path) -> list[dict[str, Any]]:
    """What a function returned in each of two processes, of tensors, numbers and texts."""
    return found_by(2, on_rank, folder)


def found_by(world: int, on_rank: OnRank, folder: Path) -> list[dict[str, Any]]:
    """What a function returned in each of several processes, of tensors, numbers and texts."""
    given = [(on_rank, rank, world, folder) for rank in range(world)]
    with FORKED.Pool(world) as pool:
        pool.starmap_async(_in_process, given, chunksize=1).get(timeout=240)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(world)]


def _in_process(on_rank: OnRank, rank: int, world: int, folder: Path) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=120),
    )
    torch.save(on_rank(rank), folder / f"rank{rank}.pt")
    distributed.destroy_process_group()
