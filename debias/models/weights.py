"""Loads the weights of a model from a local file. Each key is checked, and no code is unpickled."""

import logging
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from debias.errors import InputError, shown

log = logging.getLogger(__name__)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a ``.safetensors``, ``.pt`` or ``.pth`` file. No code in it runs.

    Raises:
        ValueError: the file does not exist, has another suffix, is damaged, or contains anything
            but named tensors.
    """
    if not path.is_file():
        raise InputError(f"no weights file {str(path)!r}: correct model.weights")
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise InputError(
            f"weights {str(path)!r} end in {path.suffix!r}; expected .safetensors, .pt or .pth"
        )
    safe = path.suffix == ".safetensors"
    try:
        state = load_file(path) if safe else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # each kind of damage raises another exception
        raise InputError(
            f"{str(path)!r} is damaged, or contains more than tensors: {_first_line(error)}; save "
            "the model's own state_dict() again"
        ) from error
    return _flat(state, path)


def _flat(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, dict):
        raise InputError(
            f"{str(path)!r} is not a flat state dict; save the model's own state_dict() instead"
        )
    named = {key: value for key, value in state.items() if isinstance(key, str)}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    if others := [key for key in state if key not in tensors]:
        raise InputError(
            f"{str(path)!r} is not a flat state dict: {shown(others)} are not tensors; save the "
            "model's own state_dict() instead"
        )
    return tensors


def load_weights(network: nn.Module, path: Path, *, head: str) -> None:
    """Load the weights of a network from a file with the same keys and shapes.

    Only the head may be missing or have another number of classes. The network then keeps its own
    head, with a message in the log.

    Args:
        network: the network; it is changed in place.
        path: a ``.safetensors``, ``.pt`` or ``.pth`` state dict.
        head: dotted name of the layer that computes the logits.

    Raises:
        ValueError: the file cannot be read, contains NaN or infinity, lacks a key, has an
            additional key, or has a tensor of another shape.
    """
    state = read_state_dict(path)
    if broken := [key for key, value in state.items() if not bool(value.isfinite().all())]:
        raise InputError(
            f"{str(path)!r} contains NaN or infinity in {len(broken)} of {len(state)} tensors, "
            f"such as {broken[0]}, so its training diverged: give other weights"
        )
    own = network.state_dict()
    keys = [key for key in own if key.startswith(f"{head}.")]
    absent = not any(key in state for key in keys)
    if absent or _other_classes([state.get(key) for key in keys], [own[key] for key in keys]):
        log.info(
            "%s has no head of %d classes: %r gets new weights",
            path,
            len(own[keys[0]]),
            head,
        )
        state |= {key: own[key] for key in keys}
    _check(own, state, path)
    network.load_state_dict(state)


def _other_classes(stored: list[Tensor | None], own: list[Tensor]) -> bool:
    complete = [tensor for tensor in stored if tensor is not None and tensor.ndim > 0]
    same_inputs = [tensor.shape[1:] for tensor in complete] == [tensor.shape[1:] for tensor in own]
    classes = {len(tensor) for tensor in complete}
    return same_inputs and len(classes) == 1 and classes != {len(own[0])}


def _check(own: dict[str, Tensor], state: dict[str, Tensor], path: Path) -> None:
    shapes = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    faults = {
        "missing": [key for key in own if key not in state],
        "unexpected": [key for key in state if key not in own],
        "of another shape": shapes,
    }
    if any(faults.values()):
        listed = "; ".join(
            f"{len(keys)} {fault}: {shown(keys)}" for fault, keys in faults.items() if keys
        )
        raise InputError(
            f"{str(path)!r} does not fit the model: {listed}; give weights of this model.name"
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
