"""Reads weights from local files. Each key is checked, and no code is unpickled."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        raise InputError(f"no weights file {str(path)!r}: correct the path")
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


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the weights and the metadata of a checkpoint of a run. No code in it runs.

    Raises:
        ValueError: the file does not exist, or is not a checkpoint.
    """
    try:
        metadata = dict(torch.load(path, map_location="cpu", weights_only=True))
        return dict(metadata.pop("state_dict")), metadata
    except FileNotFoundError:
        raise InputError(f"no checkpoint {path}: give a finished run, or train it first") from None
    except Exception as error:
        raise InputError(
            f"{path} is damaged, or not a checkpoint of debias ({type(error).__name__})"
        ) from error


def load_weights(network: nn.Module, path: Path, *, head: str | None) -> None:
    """Load the weights of a network from a file with the same keys and shapes; see :func:`fitted`.

    Args:
        network: the network; it is changed in place.
        path: a ``.safetensors``, ``.pt`` or ``.pth`` state dict.
        head: dotted name of the layer that computes the logits; ``None`` if no layer may be new.

    Raises:
        ValueError: the file cannot be read, or does not fit.
    """
    state = read_state_dict(path)
    network.load_state_dict(fitted(state, network.state_dict(), source=str(path), head=head))


def fitted(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], *, source: str, head: str | None
) -> dict[str, Tensor]:
    """Check that weights fit a network, whose head may stay new.

    Only the head may be missing or have another number of classes. The network then keeps its own
    head, with a message in the log.

    Args:
        state: the weights.
        own: the state dict of the network.
        source: where the weights come from, for messages.
        head: dotted name of the layer that computes the logits; ``None`` if no layer may be new.

    Returns:
        All weights of the network: those of ``state``, and a new head from ``own``.

    Raises:
        ValueError: the weights contain NaN or infinity, lack a key, have an additional key, or have
            a tensor of another shape.
    """
    if broken := [key for key, value in state.items() if not bool(value.isfinite().all())]:
        raise InputError(
            f"{source!r} contains NaN or infinity in {len(broken)} of {len(state)} tensors, "
            f"such as {broken[0]}, so its training diverged: give other weights"
        )
    keys = [key for key in own if key.startswith(f"{head}.")]  # none without a head
    absent = not any(key in state for key in keys)
    kept: dict[str, Tensor] = {}
    if head is not None and (
        absent or _other_classes([state.get(key) for key in keys], [own[key] for key in keys])
    ):
        log.info(
            "%s has no head of %d classes: %r gets new weights",
            source,
            len(own[keys[0]]),
            head,
        )
        kept = {key: own[key] for key in keys}
    weights = {**state, **kept}
    _check(own, weights, source)
    return weights


def _other_classes(stored: list[Tensor | None], own: list[Tensor]) -> bool:
    complete = [tensor for tensor in stored if tensor is not None and tensor.ndim > 0]
    same_inputs = [tensor.shape[1:] for tensor in complete] == [tensor.shape[1:] for tensor in own]
    classes = {len(tensor) for tensor in complete}
    return same_inputs and len(classes) == 1 and classes != {len(own[0])}


def _check(own: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str) -> None:
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
            f"{source!r} does not fit the model: {listed}; give weights of this model.name"
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
