"""A second network of the model's architecture."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from debias.errors import InputError


def twin(model: nn.Module, *, outputs: int | None = None) -> nn.Module:
    """A copy of a classifier, no parameter shared: the same weights, but a newly drawn head.

    Args:
        model: maps images to :class:`debias.types.Outputs`; its last layer is the ``nn.Linear``
            that it calls ``head``, as that of :class:`debias.models.classifier.Classifier`. Left as
            it is.
        outputs: logits of the copy; ``None`` for as many as the model has.

    Raises:
        ValueError: the model has no such layer.
    """
    copied: Any = copy.deepcopy(model)
    head = getattr(copied, "head", None)
    if not isinstance(head, nn.Linear):
        raise InputError(
            f"{type(model).__name__} has no nn.Linear called head, so no second network is made of "
            "it"
        )
    copied.head = nn.Linear(
        head.in_features,
        head.out_features if outputs is None else outputs,
        bias=head.bias is not None,
        device=head.weight.device,
        dtype=head.weight.dtype,
    )
    network: nn.Module = copied
    return network
