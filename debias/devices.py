"""The accelerators and the cores of this machine."""

import os

from debias.errors import InputError, near


def resolve_accelerator(accelerator: str, devices: int = 1) -> str:
    """The accelerator to compute on; "auto" is the first available of cuda, mps and cpu.

    Raises:
        ValueError: ``accelerator`` is unknown, or this machine has too few of them for ``devices``.
    """
    import torch  # deferred, because planning a sweep only asks for the cores

    available = {
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
        "cpu": devices,
    }
    if accelerator == "auto":
        accelerator = next(name for name, count in available.items() if count)
    elif accelerator not in available:
        raise InputError(
            f"unknown accelerator {accelerator!r}; {near(accelerator, ['auto', *available])}"
        )
    if available[accelerator] < devices:
        raise InputError(
            f"accelerator={accelerator} has {available[accelerator]} devices on this machine; got "
            f"devices={devices}: set fewer devices, or another accelerator"
        )
    return accelerator


def usable_cores() -> int:
    """Number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
