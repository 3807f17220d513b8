"""Loads the weights of a run from one of its checkpoints. No code in the file runs."""

from pathlib import Path
from typing import Any

from torch import nn

from debias.errors import InputError, shortened
from debias.models.weights import read_checkpoint


def load_weights(
    module: nn.Module, path: Path, *, only: str | tuple[str, ...] = ""
) -> dict[str, Any]:
    """Load a checkpoint into a module and return its metadata; every name and shape must match.

    Args:
        module: the module that receives the weights.
        path: path of the checkpoint.
        only: prefix of the weights to load, such as "model.", or several; the other weights of the
            module are not changed. By default all are loaded.

    Raises:
        ValueError: the file does not exist, is not a checkpoint, or holds the weights of another
            model or strategy.
    """
    state, metadata = read_checkpoint(path)
    try:
        own = module.state_dict() if only else {}
        unchanged = {key: value for key, value in own.items() if not key.startswith(only)}
        loaded = {key: value for key, value in state.items() if key.startswith(only)}
        module.load_state_dict(unchanged | loaded)
    except RuntimeError as error:
        raise InputError(
            f"{path} holds the weights of another model or strategy: {_first(error)}"
        ) from error
    return metadata


def _first(error: RuntimeError) -> str:
    """The start of torch's error message, which names every layer that does not fit."""
    return shortened(" ".join(str(error).partition("\n")[2].split()))
