"""Predictions by the model of a run, or by another network of its module."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from debias.evaluation import predictions


def test_a_network_of_the_module_is_moved_to_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    module, used = nn.ModuleDict({"twin": nn.Linear(2, 2)}), []
    monkeypatch.setattr(predictions, "_batches", lambda *given: ())
    monkeypatch.setattr(predictions, "with_labels", lambda *given: None)
    monkeypatch.setattr(predictions, "predict", lambda network, *_, **__: used.append(network))
    device = torch.device("meta")
    parts: Any = SimpleNamespace(module=module, device=device, examples=None, precision="32-true")
    predictions.predict_split(parts, "val", model=module["twin"])
    assert used == [module["twin"]]
    assert module["twin"].weight.device == device
