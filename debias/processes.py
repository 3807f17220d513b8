"""The processes that train together: their number, and sums and rows over all of them.

Every function but the first two must be called in every process. With one process they return
their argument.
"""

from typing import TypeVar

import torch
from torch import Tensor, distributed

Item = TypeVar("Item")


def world() -> int:
    """How many processes there are."""
    several = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if several else 1


def rank() -> int:
    """The number of this process, counted from 0."""
    return distributed.get_rank() if world() > 1 else 0


def summed(value: Tensor) -> Tensor:
    """Sum of a tensor over all processes, without gradient."""
    return _reduced(value, distributed.ReduceOp.SUM) if world() > 1 else value


def mean(value: Tensor) -> Tensor:
    """Mean of a tensor over all processes, without gradient."""
    return summed(value) / world() if world() > 1 else value


def least(value: Tensor) -> Tensor:
    """Minimum over all processes of each entry of a tensor, without gradient."""
    return _reduced(value, distributed.ReduceOp.MIN) if world() > 1 else value


def _reduced(value: Tensor, operation: distributed.ReduceOp.RedOpType) -> Tensor:
    reduced = value.detach().clone()
    distributed.all_reduce(reduced, op=operation)
    return reduced


def joined_rows(rows: Tensor) -> Tensor:
    """The rows of all processes, in order of rank.

    Gradient flows through the own rows only, multiplied by the number of processes: the average
    over processes is then the gradient of what each computes from the joined rows. Processes may
    hold different numbers of rows.

    Args:
        rows: ``(N, ...)``, of the same trailing shape in every process.
    """
    if world() == 1:
        return rows
    own = torch.zeros(world(), dtype=torch.int64, device=rows.device)
    own[rank()] = len(rows)
    lengths: list[int] = summed(own).tolist()
    padded = rows.new_zeros(max(lengths), *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(parts, padded)
    joined = [part[:length] for part, length in zip(parts, lengths, strict=True)]
    # the value is that of the rows to the last bit, the gradient `world` times theirs
    joined[rank()] = rows + (world() - 1) * (rows - rows.detach())
    return torch.cat(joined)


def joined_lists(own: list[Item]) -> list[Item]:
    """The items of all processes, in order of rank; they are pickled on the way."""
    if world() == 1:
        return own
    lists: list[list[Item]] = [[] for _ in range(world())]
    distributed.all_gather_object(lists, own)
    return [item for items in lists for item in items]
