"""Run as ``python -m tests.losses.two_cvar_ranks FOLDER RANK`` twice: writes what each computed."""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, distributed

from debias.losses.cvar import cvar

#: The rows of rank 0 are larger, and with them its losses.
INPUTS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
INPUTS[:6] *= 4
SHARDS = (slice(0, 6), slice(6, 10))


def losses(weight: Tensor) -> Tensor:
    return (INPUTS @ weight).square()


def main(folder: Path, rank: int) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    value = cvar(losses(weight)[SHARDS[rank]], alpha=0.35)
    (gradient,) = torch.autograd.grad(value, weight)
    torch.save({"cvar": value.detach(), "gradient": gradient}, folder / f"rank{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
