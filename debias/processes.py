"""The processes that train together: their number, and sums and rows over all of them.

Every process must call each function, except :func:`world` and :func:`rank`. With one process, the
functions return their argument.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed

Item = TypeVar("Item")


def world() -> int:
    """The number of processes that train together; 1 if training is not distributed."""
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
    """Concatenate the rows of all processes, in order of rank.

    The gradient flows only into the process's own rows, multiplied by the number of processes. The
    average of the gradients over processes is then the gradient of a loss of the joined rows.

    Args:
        rows: ``(N, ...)``. N may differ between processes; the other sizes are the same.
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
    # the value equals the rows to the last bit, and the gradient is `world` times theirs
    joined[rank()] = rows + (world() - 1) * (rows - rows.detach())
    return torch.cat(joined)


def from_first(value: Item) -> Item:
    """The value of the first process, which is pickled and sent to the others."""
    if world() == 1:
        return value
    held = [value]
    distributed.broadcast_object_list(held, src=0)
    return held[0]


def by_first(compute: Callable[[], Item]) -> Item:
    """The result of a function that the first process calls while the others wait for it.

    The function must call no other function of this module. If it raises an exception, the other
    processes end.
    """
    if world() == 1:
        return compute()
    if rank() > 0:
        value, failed = from_first((None, False))
        if failed:
            raise SystemExit(1)
        return cast(Item, value)
    try:
        result = compute()
    except Exception:
        from_first((None, True))
        raise
    return from_first((result, False))[0]


def joined_lists(own: list[Item]) -> list[Item]:
    """Concatenate the lists of all processes, in order of rank. Items are pickled to send them."""
    if world() == 1:
        return own
    lists: list[list[Item]] = [[] for _ in range(world())]
    distributed.all_gather_object(lists, own)
    return [item for items in lists for item in items]
