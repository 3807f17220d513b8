"""What the environments of a data set are, over which a predictor is to be invariant."""

from __future__ import annotations

from torch import Tensor

from debias.errors import InputError
from debias.types import Batch, Groups

KINDS = ("bias", "group")


class Environments:
    """Which environment each sample is from: the value of its bias attribute, or its group.

    Args:
        groups: the groups of the data.
        kind: "bias" or "group".

    Raises:
        ValueError: an unknown kind, or groups as environments of multi-label targets.
    """

    def __init__(self, groups: Groups, kind: str) -> None:
        if kind not in KINDS:
            raise InputError(f"unknown environments={kind!r}: choose {' or '.join(KINDS)}")
        self.groups, self.by_group = groups, kind == "group"
        if self.by_group and groups.multi_label:
            raise InputError(
                "groups as environments need a single target, not several labels: take "
                "environments=bias"
            )

    @property
    def count(self) -> int:
        """How many environments there are."""
        return self.groups.count if self.by_group else self.groups.biases

    def of(self, batch: Batch) -> Tensor:
        """``(N,)`` int64 in [0, count), -1 where the bias is unknown."""
        return self.groups.encode(batch.target, batch.bias) if self.by_group else batch.bias
