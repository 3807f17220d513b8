"""How a probability moves over training, a function of its share done: [0, 1] to [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float) -> float:
    """:math:`e / E`, from 0 to 1."""
    return progress


def reverse_linear(progress: float) -> float:
    """:math:`1 - e / E`, from 1 to 0."""
    return 1 - progress


def cosine(progress: float) -> float:
    r""":math:`1 - \cos(\pi e / 2E)`, from 0 to 1, slowly at first."""
    return 1 - math.cos(math.pi * progress / 2)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "reverse_linear": reverse_linear,
    "cosine": cosine,
}
