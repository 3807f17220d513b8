"""The loss and its terms over an epoch: their means, terms without effect, and divergence."""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from debias import processes
from debias.errors import InputError
from debias.types import Loss

#: An epoch's mean below this is nothing beside a loss of order one, in float32 and for any usual
#: weight.
NOTHING = 1e-12

REMEDY = "lower optimizer.lr, or set clip"


class EpochSums:
    """Sums of the loss and of its terms over the turns of an epoch, and how far they are finite.

    Nothing waits for the device: a ``self.log`` per step would cost more than a small model's step.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.turns: dict[str, int] = {}
        self.steps = 0
        self.finite_steps: Tensor | int = 0

    def add(self, loss: Loss) -> None:
        """Add the loss and the terms of one turn."""
        for name, value in (("loss", loss.total), *loss.terms.items()):
            if name in self.sums:
                self.sums[name] += value.detach()
                self.turns[name] += 1
            else:
                self.sums[name], self.turns[name] = value.detach().to(torch.float32, copy=True), 1

    def end_step(self) -> None:
        """Count a step, also as finite if no loss so far was not: such a sum never is again."""
        self.steps += 1
        self.finite_steps = self.finite_steps + self.sums["loss"].isfinite()

    def means(self) -> dict[str, Tensor]:
        """Mean of each over its turns in all processes; every process must call it."""
        return {name: processes.mean(total) / self.turns[name] for name, total in self.sums.items()}


class IdleTerms:
    """Looks at each weighted term once: after the first epoch in which its weight is not zero.

    A ramp at zero, or a penalty before its first step, is thus not looked at. Nothing is read from
    the device: the means of the epoch are logged anyway.
    """

    def __init__(self) -> None:
        self.weighted: dict[str, float] = {}
        self.seen: set[str] = set()

    def note(self, loss: Loss) -> None:
        """Take note of the weights of one objective."""
        self.weighted |= {name: weight for name, weight in loss.weights.items() if weight}

    def check(self, means: Mapping[str, float]) -> None:
        """Warn of terms that are nothing, given the means of the epoch that ends."""
        fresh = {name: weight for name, weight in self.weighted.items() if name not in self.seen}
        self.seen |= fresh.keys()
        if idle := [
            f"{name} (mean {means[name]:.1g}, weight {fresh[name]:g})"
            for name in fresh
            if is_idle(means[name])
        ]:
            warnings.warn(
                "terms of the loss are numerically nothing through their first epoch: "
                f"{', '.join(idle)}. They have no effect: check the strategy's scales for this "
                "network, such as a bandwidth, and what a batch holds",
                stacklevel=2,
            )


def is_idle(mean: float) -> bool:
    """Whether a term of this mean has no effect; NaN is another fault."""
    return abs(mean) < NOTHING


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
