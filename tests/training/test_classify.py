"""A model with logits of class and bias: built, validated, predicted, explained by its strategy.

The mean of linear heads is the linear head of their mean, so a plain classifier with that head must
agree everywhere.
"""

import json
from copy import deepcopy
from functools import partial

import pytest
import timm
import torch
from torch import nn

from debias import config as configs
from debias.build import build
from debias.commands import evaluate
from debias.commands.train import train
from debias.models.classifier import Classifier
from debias.reports.predictions import read
from debias.strategies.domain_independent import DomainIndependent
from debias.training.fit import fit, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import constant, sgd
from debias.training.prediction import predict
from tests.commands.conftest import overrides
from tests.fakes import GROUPS, TinyClassifier, TinyData


def averaged(model: nn.Module) -> nn.Module:
    """The model with one head of two logits, the mean of the two heads of two logits each."""
    plain = deepcopy(model)
    head = plain.get_submodule("head")
    one = nn.Linear(head.in_features, 2)
    one.weight.data = head.weight.data.view(2, 2, -1).mean(dim=1)
    one.bias.data = head.bias.data.view(2, 2).mean(dim=1)
    plain.head = one
    return plain


def module_of(model: nn.Module) -> DebiasModule:
    return DebiasModule(
        model,
        DomainIndependent(GROUPS),
        GROUPS,
        None,
        optimizer=lambda player, parameters: sgd(parameters, lr=0.1),
        scheduler=partial(constant, epochs=1),
    )


def test_validation_and_prediction(tmp_path):
    torch.manual_seed(0)
    module, data = module_of(TinyClassifier(outputs=4)), TinyData()
    fit(module, data, trainer(tmp_path, epochs=1, seed=0, accelerator="cpu", progress=False))
    found = predict(module, data.batches())
    logits = averaged(module.model)(data.batch.image).logits
    torch.testing.assert_close(found.logits, logits.detach())
    right = (logits.argmax(dim=1) == data.batch.target).double().mean().item()
    assert module.validation["average"] == pytest.approx(right)


def test_grad_cam():
    pytest.importorskip("captum")
    from debias.models.attribution import grad_cam

    torch.manual_seed(0)
    model = Classifier(timm.create_model("test_resnet", num_classes=4)).eval()
    image, target = torch.randn(3, 3, 64, 64), torch.tensor([0, 1, 1])
    explained = grad_cam(model, image, target=target, classify=DomainIndependent(GROUPS).classify)
    torch.testing.assert_close(
        explained, grad_cam(averaged(model), image, target=target), rtol=1e-4, atol=1e-5
    )
    assert explained.amax() == 1
    # of the four logits, the second is not that of the second class
    assert not torch.allclose(explained, grad_cam(model, image, target=target), atol=1e-2)


@pytest.mark.parametrize("name", ["domain_independent", "domain_discriminative"])
def test_build_gives_the_model_its_logits(name, tmp_path):
    parts = build(configs.load("drawn_birds", overrides(tmp_path, f"strategy.name={name}")))
    assert parts.module.model.head.out_features == 4
    assert parts.module(torch.zeros(2, 3, 32, 32)).logits.shape == (2, 2)


@pytest.mark.slow
def test_a_run_is_reported_and_evaluated_by_class(tmp_path):
    """Two logits a row in the predictions; measures from the weights agree with training."""
    run = train(
        configs.load(
            "drawn_birds", overrides(tmp_path, "strategy.name=domain_independent", "epochs=1")
        )
    )
    rows = read(run / "predictions" / "test.csv")
    assert rows.logits.shape == (40, 2)
    before = json.loads((run / "report.json").read_text())
    (run / "predictions" / "test.csv").unlink()
    evaluate.run(str(run), ["progress=false", "measures=features"])
    after = json.loads((run / "report.json").read_text())
    assert after["metrics"] == before["metrics"]
    assert 0.5 <= after["measures"]["features"]["leakage/features"] <= 1
