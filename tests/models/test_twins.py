"""A twin shares no parameter with its model, has its weights, and a head of its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from debias.models.classifier import timm_classifier
from debias.models.twins import twin
from tests.fakes import TinyClassifier


@pytest.mark.parametrize(
    "model", [TinyClassifier(), timm_classifier(2, name="test_resnet", pretrained=False)]
)
def test_same_weights_but_the_head(model):
    copied = twin(model)
    own, other = model.state_dict(), copied.state_dict()
    assert own.keys() == other.keys()
    differing = {name for name in own if not torch.equal(own[name], other[name])}
    assert differing == {"head.weight", "head.bias"}
    assert not {value.data_ptr() for value in own.values()} & {
        value.data_ptr() for value in other.values()
    }


def test_moving_one_leaves_the_other():
    model = TinyClassifier()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = twin(model)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_other_outputs():
    assert twin(TinyClassifier(), outputs=7)(torch.zeros(4, 3, 2, 2)).logits.shape == (4, 7)


def test_a_model_without_head_is_refused():
    with pytest.raises(ValueError, match=r"Sequential has no nn\.Linear called head"):
        twin(nn.Sequential(nn.Linear(2, 2)))
