"""Compiling the network for training by ``torch.compile``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch._functorch.config
from torch import nn


@contextmanager
def compiled(model: nn.Module, *, backend: str | Callable[..., Any] = "inductor") -> Iterator[None]:
    """Compile the backbone of a model within this context.

    Afterwards the model is as before, since a compiled network does not call the hooks by which
    layers are read. Copies that are made meanwhile are not compiled.

    Args:
        model: a model with a submodule ``backbone``; its weights keep their names.
        backend: a backend of ``torch.compile``, by name or as a function.
    """
    backbone = model.get_submodule("backbone")
    backbone.compile(backend=backend)
    try:
        # some strategies need the gradients of one pass twice, for which its buffers must stay
        with torch._functorch.config.patch(donated_buffer=False):
            yield
    finally:
        backbone._compiled_call_impl = None  # torch has no public way back
