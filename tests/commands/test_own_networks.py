"""Networks of torchvision, Hugging Face and one's own are trained, saved and loaded like timm's; a
run starts from the weights of another.
"""

import json
import logging
import re
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from debias import config as configs
from debias.build import build
from debias.commands.train import train
from debias.config import Config
from debias.evaluation.predictions import predict_split
from debias.evaluation.saved import finished as finished_parts
from debias.reports.predictions import read
from tests.commands.conftest import overrides
from tests.models import own_networks

OWN = "tests.models.own_networks"
HALF = ("model.mean=[0.5,0.5,0.5]", "model.std=[0.5,0.5,0.5]")
NETWORKS = {
    "torchvision": ("model.name=torchvision.models:resnet18", "model.head=fc"),
    "own": (f"model.name={OWN}:SmallCNN", "model.head=classifier.1", "model.width=4"),
    "Hugging Face": (f"model.name={OWN}:transformers_vit", "model.head=classifier", *HALF),
}
PLAIN = {
    "torchvision": lambda: torchvision.models.resnet18(num_classes=2),
    "own": lambda: own_networks.SmallCNN(2, width=4),
    "Hugging Face": own_networks.transformers_vit,
}
QUICK = ("data.train=32", "data.val=24", "data.test=16", "epochs=1", "measures=none", "cache=false")


def config_of(folder: Path, *options: str) -> Config:
    return configs.load("drawn_birds", overrides(folder, *QUICK, *options))


def trained(folder: Path, *options: str) -> Path:
    return train(config_of(folder, *options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("own_networks")


@pytest.fixture(scope="module")
def own_run(folder) -> Path:
    return trained(folder, *NETWORKS["own"])


def checkpoint(run: Path) -> dict[str, Tensor]:
    state = torch.load(run / "checkpoints/epoch=000.ckpt", weights_only=True)["state_dict"]
    return {key.removeprefix("model."): state[key] for key in state if key.startswith("model.")}


def logits(network: nn.Module, image: Tensor) -> Tensor:
    output = network(image)
    return output if isinstance(output, Tensor) else output.logits


@pytest.mark.parametrize("family", NETWORKS)
def test_a_network_is_trained_saved_and_loaded(family: str, folder: Path) -> None:
    """What is loaded predicts what was saved, and so does the plain network, with its own keys."""
    if family == "Hugging Face":
        pytest.importorskip("transformers")
    pretrained = "model.pretrained=false"
    sgd = ("optimizer.name=sgd", "optimizer.momentum=0")  # smaller checkpoints than Adam's
    run = trained(folder, *NETWORKS[family], pretrained, *sgd)
    parts = finished_parts(run)
    assert torch.equal(
        predict_split(parts, "test", progress=False).logits,
        read(run / "predictions/test.csv").logits,
    )
    plain = PLAIN[family]().eval()
    plain.load_state_dict(parts.module.model.network_state_dict())
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(logits(plain, image), parts.module.model(image).logits)
    report = json.loads((run / "report.json").read_text())
    name = NETWORKS[family][0].partition("=")[2]
    assert report["model"]["name"] == name
    assert report["model"]["weights"] == f"as {name} makes them"


def test_strategies_read_layers_inside_an_own_network(folder: Path) -> None:
    strategy = ("strategy.name=feature_adversary", "strategy.layer=deep", "strategy.feed=pooled")
    parts = build(config_of(folder, *NETWORKS["own"], *strategy))
    assert parts.module.strategy.adversary.head.layers[0][0].in_features == 8


def test_a_network_that_changes_its_outputs_is_refused_before_training(folder: Path) -> None:
    config = config_of(folder, f"model.name={OWN}:ends_in_softmax", "model.head=classifier.1")
    with pytest.raises(
        ValueError, match=r"does not return the outputs of its layer 'classifier.1'"
    ):
        build(config)


def test_a_run_starts_from_the_weights_of_another(own_run: Path, folder: Path) -> None:
    """With a learning rate of 0 and frozen averages it ends there; its seed draws other weights."""
    same = (*NETWORKS["own"], f"model.weights={own_run}", "seed=1", "optimizer.lr=0")
    run = trained(folder, *same, "model.freeze_batch_norm=true", "optimizer.weight_decay=0")
    start, end = checkpoint(own_run), checkpoint(run)
    assert start.keys() == end.keys()
    assert all(torch.equal(start[key], end[key]) for key in start)
    weights = json.loads((run / "report.json").read_text())["model"]["weights"]
    assert re.fullmatch(rf"{own_run} \(tensors sha256 [0-9a-f]{{12}}\)", weights)
    assert finished_parts(run).module.model.freeze_batch_norm


def test_a_head_of_other_classes_stays_new(own_run: Path, folder: Path, caplog) -> None:
    strategy = "strategy.name=domain_independent"
    config = config_of(folder, *NETWORKS["own"], f"model.weights={own_run}", strategy)
    with caplog.at_level(logging.INFO):
        model = build(config).module.model
    assert model.head.out_features == 4
    assert f"{own_run} has no head of 4 classes: 'head' gets new weights" in caplog.text
    start = checkpoint(own_run)
    own = model.state_dict()
    assert all(torch.equal(own[key], start[key]) for key in own if key.startswith("backbone."))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (f"model.name={OWN}:SmallCNN", "model.head=classifier.1", "model.width=6"),
            "width=4; got",
        ),
        (("model.name=test_resnet",), "has model.head=classifier.1; got model.head=None"),
        ((*NETWORKS["own"], *HALF), "has model.mean=None; got model.mean=[0.5, 0.5, 0.5]: set the"),
    ],
)
def test_the_weights_of_another_model_are_refused(
    options: tuple[str, ...], message: str, own_run: Path, folder: Path
) -> None:
    config = config_of(folder, *options, f"model.weights={own_run}")
    with pytest.raises(ValueError, match=re.escape(message)):
        build(config)


def test_a_folder_that_is_no_finished_run_is_refused(folder: Path) -> None:
    config = config_of(folder, f"model.weights={folder}/birds")
    with pytest.raises(ValueError, match="is not a run folder"):
        build(config)
