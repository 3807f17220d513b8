"""Stopping when training has diverged, before its state replaces the last good one."""

import torch
from torch import nn

from debias import processes
from debias.errors import InputError
from debias.training.terms import EpochSums

REMEDY = "lower optimizer.lr, or set clip"


def check_finite(module: nn.Module, sums: EpochSums, *, epoch: int) -> None:
    """Stop all processes if a loss of an epoch, or a parameter after it, is NaN or infinite.

    Args:
        module: whose parameters are checked.
        sums: of the epoch's losses.
        epoch: its number.

    Raises:
        InputError: naming the first such step.
    """
    parameters = [parameter.detach().isfinite().all() for parameter in module.parameters()]
    whole = torch.stack(parameters).all()
    finite_steps = torch.as_tensor(sums.finite_steps, device=whole.device)
    state = torch.stack([finite_steps, whole.to(finite_steps)])
    finite, all_finite = processes.least(state).tolist()
    if finite < sums.steps:
        raise diverged(f"the loss of step {finite} of epoch {epoch} (counted from 0)", epoch)
    if not all_finite:
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
