"""What all metrics here share: an exact state, which is never taken for another's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric


class ExactMetric(Metric):
    """Base of the metrics: integer counts stay integers and float64 sums float64, whatever a model
    is cast to.

    ``set_dtype``, and the ``to(dtype)`` of a module that holds the metric, leave the state as it
    is: float16 counts would be wrong from 2049 on, and float counts are no indices. Moving to a
    device works as always.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self) -> None:
        super().__init__()
        # MetricCollection joins metrics whose states are equal after one batch, for good, also when
        # they watch different biases; NaN equals nothing, so that two of these are never joined
        self.add_state("unjoinable", torch.tensor(torch.nan), dist_reduce_fx="max")

    def _apply(
        self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ""
    ) -> nn.Module:
        def keep(value: Tensor) -> Tensor:
            """What the function makes of a tensor, but for its number type."""
            found = fn(value)
            return found if found.dtype == value.dtype else value.to(found.device)

        return super()._apply(keep, exclude_state)
