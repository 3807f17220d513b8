"""The terms of the loss over an epoch: their means, and checks for divergence and no effect."""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from debias import processes
from debias.errors import InputError
from debias.types import Loss

#: A term whose mean over an epoch is smaller has no effect beside a loss of order one, in float32
#: and with any usual weight.
SMALLEST_MEAN = 1e-12

REMEDY = "lower optimizer.lr, or set clip"


class EpochSums:
    """Sums of the loss and its terms over the turns of an epoch, and the number of finite steps.

    Adding does not wait for the device. A ``self.log`` per step would cost more than a step of a
    small model.
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
        """Count a step; it counts as finite if all losses of the epoch so far are finite.

        A sum stays non-finite after the first loss that is NaN or infinite.
        """
        self.steps += 1
        self.finite_steps = self.finite_steps + self.sums["loss"].isfinite()

    def means(self) -> dict[str, Tensor]:
        """Mean of the loss and each term over its turns in all processes; all must call this."""
        return {name: processes.mean(total) / self.turns[name] for name, total in self.sums.items()}


class IdleTerms:
    """Checks once whether each weighted term has an effect: after its first epoch with a weight.

    Epochs with a weight of zero are skipped, such as those before a ramp starts. The check reads no
    values from the device, since the means of the epoch are logged anyway.
    """

    def __init__(self) -> None:
        self.weighted: dict[str, float] = {}
        self.seen: set[str] = set()

    def note(self, loss: Loss) -> None:
        """Record the terms of a loss whose weight is not zero."""
        self.weighted |= {name: weight for name, weight in loss.weights.items() if weight}

    def check(self, means: Mapping[str, float]) -> None:
        """Warn of terms without effect, given the means of the epoch that has ended."""
        unseen = {name: weight for name, weight in self.weighted.items() if name not in self.seen}
        self.seen |= unseen.keys()
        if idle := [
            f"{name} (mean {means[name]:.1g}, weight {unseen[name]:g})"
            for name in unseen
            if is_idle(means[name])
        ]:
            warnings.warn(
                "terms of the loss are numerically zero in their whole first epoch: "
                f"{', '.join(idle)}. They have no effect: check the strategy's scales for this "
                "network, such as a bandwidth, and the samples of a batch",
                stacklevel=2,
            )


def is_idle(mean: float) -> bool:
    """Whether a term with this mean has no effect; NaN counts as an effect."""
    return abs(mean) < SMALLEST_MEAN


def check_finite(module: nn.Module, sums: EpochSums, *, epoch: int) -> None:
    """Stop all processes if a loss of an epoch, or a parameter after it, is NaN or infinite.

    Args:
        module: the module whose parameters are checked.
        sums: the sums of the epoch's losses.
        epoch: number of the epoch.

    Raises:
        InputError: one of them is not finite; the message names the first such step.
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
    """Make the error about a value that is not finite.

    Args:
        what: the value, such as "a weight after epoch 3".
        epoch: number of the epoch in which the run ends.
    """
    checkpoint = (
        "no checkpoint was written"
        if epoch == 0
        else f"the last checkpoint is that of epoch {epoch - 1}"
    )
    return InputError(
        f"training diverged: {what} is not finite; {checkpoint}. To avoid this, {REMEDY}"
    )
