"""Terms that count in a loss, and are numerically nothing: the method then has no effect."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from debias.types import Loss

#: An epoch's mean below this is nothing beside a loss of order one, in float32 and for any usual
#: weight.
NOTHING = 1e-12


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
