"""Classifiers that return ``Outputs``: any timm model, with weights from timm or a local file."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from debias.models.classifier import Classifier, timm_classifier
    from debias.models.weights import load_weights, read_state_dict

__all__ = ["Classifier", "load_weights", "read_state_dict", "timm_classifier"]

_HOMES = {"Classifier": "classifier", "timm_classifier": "classifier"}


def __getattr__(name: str) -> Any:
    # strategies read layers and build heads, and are not to load timm for it
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'weights')}"), name)
