"""Stopping when training has diverged, before its state replaces the last good one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from debias import processes
from debias.errors import InputError

REMEDY = "lower optimizer.lr, or set clip"


def check_finite(module: nn.Module, finite_steps: Tensor, *, steps: int, epoch: int) -> None:
    """Stop all processes if a loss of an epoch, or a parameter after it, is NaN or infinite.

    Args:
        module: whose parameters are checked.
        finite_steps: int64 scalar, how many steps of the epoch came before the first loss that is
            not finite.
        steps: of the epoch.
        epoch: its number.

    Raises:
        InputError: naming the first such step.
    """
    parameters = [parameter.detach().isfinite().all() for parameter in module.parameters()]
    state = torch.stack([finite_steps, torch.stack(parameters).all().to(finite_steps)])
    finite, whole = processes.least(state).tolist()
    if finite < steps:
        raise diverged(f"the loss of step {finite} of epoch {epoch} (counted from 0)", epoch)
    if not whole:
        raise diverged(f"a weight after epoch {epoch}", epoch)


def diverged(what: str, epoch: int) -> InputError:
    """The error that ends a run in an epoch."""
    kept = (
        "no checkpoint was written"
        if epoch == 0
        else f"the last checkpoint is that of epoch {epoch - 1}"
    )
    return InputError(
        f"training diverged: {what} is not finite; {kept}. To train without this, {REMEDY}"
    )
