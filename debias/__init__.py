"""Training-time debiasing of image classifiers: losses, strategies, group metrics, and the command
line.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debias.api import TrainedRun, audit, compare, evaluate, load, train

# on import albumentations looks up its newest version over the network, which must not happen
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
__all__ = ["TrainedRun", "audit", "compare", "evaluate", "load", "train"]


def __getattr__(name: str) -> object:
    """Import the functions of :mod:`debias.api` only when they are used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("debias.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
