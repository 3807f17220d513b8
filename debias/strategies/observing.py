"""The end of an epoch: observers measure every training sample, and read the values of all."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from debias.models.layers import evaluating
from debias.processes import joined_rows
from debias.types import Batch, Observed, Observer


@torch.no_grad()
def observe(observers: Sequence[Observer], model: nn.Module, batches: Iterable[Batch]) -> None:
    """Let observers measure every training sample in evaluation mode, and read all values.

    Call it after each epoch, before a checkpoint is written. With several processes, each process
    gives its own batches, and all observers read the values of all.

    Args:
        observers: strategies or orders.
        model: maps images to the :class:`debias.types.Outputs` that evaluation uses. Its mode is
            restored.
        batches: every training sample once, without augmentation.
    """
    networks = nn.ModuleList([model, *(each for each in observers if isinstance(each, nn.Module))])
    columns: list[list[Tensor]] = []
    with evaluating(networks):
        for batch in batches:
            values = [each.measure(model, batch).float() for each in observers]
            columns.append([batch.index, batch.target, batch.bias, torch.stack(values, dim=1)])
    rows = [joined_rows(torch.cat(column)) for column in zip(*columns, strict=True)]
    order = rows[0].argsort()
    index, target, bias, values_of = (column[order] for column in rows)
    for each, values_of_one in zip(observers, values_of.unbind(dim=1), strict=True):
        each.observe(Observed(index, target, bias, values_of_one))
