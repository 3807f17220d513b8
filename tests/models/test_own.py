"""Classifiers of a function that "module:object" names: of torchvision, and the user's own."""

import logging
import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torchvision.models._api import WeightsEnum

from debias import components
from debias.models.classifier import Classifier

RESNET = {"name": "torchvision.models:resnet18", "head": "fc"}
OWN = "tests.models.own_networks"
SMALL = {"name": f"{OWN}:SmallCNN", "head": "classifier.1"}


def made(**section: object) -> Classifier:
    """A classifier of three classes."""
    return components.construct("model", section, {"outputs": 3})


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return torchvision.models.resnet18().state_dict()


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, trained) -> list[str]:
    """Names of the weights that torchvision would download."""
    names: list[str] = []

    def get(self: WeightsEnum, *args: object, **options: object) -> object:
        names.append(self.name)
        return trained

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get)
    return names


@pytest.mark.parametrize("more", [{}, {"weights": "IMAGENET1K_V1"}])
def test_torchvision_starts_from_its_own_weights(downloads, trained, more, caplog) -> None:
    with caplog.at_level(logging.INFO):
        model = made(**RESNET, **more)
    assert downloads == ["IMAGENET1K_V1"]
    state = model.network_state_dict()
    different = {key for key, value in trained.items() if not torch.equal(state[key], value)}
    assert different == {"fc.weight", "fc.bias"}
    assert model.head.out_features == 3
    assert "has no head of 3 classes: 'fc' gets new weights" in caplog.text
    assert (model.mean, model.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("more", [{"pretrained": False}, {"weights": "{file}"}])
def test_torchvision_downloads_nothing_otherwise(downloads, trained, more, tmp_path) -> None:
    file = tmp_path / "resnet18.pth"
    torch.save(trained, file)
    model = made(**RESNET, **{key: str(file) if key == "weights" else False for key in more})
    assert downloads == []
    same = torch.equal(model.network_state_dict()["conv1.weight"], trained["conv1.weight"])
    assert same is ("weights" in more)


def test_a_failed_download_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(self: object, *args: object, **options: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", unreachable)
    with pytest.raises(ValueError, match=r"could not be downloaded.*model\.weights=PATH"):
        made(**RESNET)


def test_an_own_network_gets_its_options_and_the_number_of_classes() -> None:
    model = made(**SMALL, width=4, mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])
    assert (model.head.in_features, model.head.out_features) == (8, 3)
    assert (model.mean, model.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert not model.backbone.started_trained  # the default of its own
    assert made(**SMALL, pretrained=True).backbone.started_trained
    assert made(**SMALL, freeze_batch_norm=True).freeze_batch_norm


def test_own_weights_keep_their_keys(tmp_path: Path) -> None:
    """A head of other classes starts anew, as with timm."""
    for classes, kept in ((3, True), (7, False)):
        state = components.construct("model", SMALL, {"outputs": classes}).network_state_dict()
        torch.save(state, tmp_path / "own.pt")
        model = made(**SMALL, weights=str(tmp_path / "own.pt"), pretrained=True)
        assert not model.backbone.started_trained
        loaded = model.network_state_dict()
        assert torch.equal(loaded["deep.0.weight"], state["deep.0.weight"])
        assert (loaded["classifier.1.weight"].shape == state["classifier.1.weight"].shape) is kept
        assert torch.equal(loaded["classifier.1.bias"], state["classifier.1.bias"][:3]) is kept


def test_a_network_that_is_wrapped_already_is_used_as_it_is() -> None:
    model = made(name=f"{OWN}:wrapped")
    assert (model.mean, model.head_path) == ((0.1, 0.2, 0.3), "classifier.1")
    with pytest.raises(ValueError, match=r"returns a Classifier.*leave out model\.head"):
        made(name=f"{OWN}:wrapped", head="classifier.1")


def test_a_network_of_timm_needs_no_head() -> None:
    model = made(name="timm.models.byobnet:test_byobnet", pretrained=False)
    assert (model.head_path, model.head.out_features) == ("head.fc", 3)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": f"{OWN}:SmallCNN"}, "head must name the last layer of SmallCNN"),
        (SMALL | {"widht": 4}, "unknown option model.widht; did you mean 'width'?"),
        (SMALL | {"haed": 4}, "unknown option model.haed; did you mean 'head'?"),
        (SMALL | {"width": "wide"}, "model.width must be an integer; got 'wide'"),
        (SMALL | {"mean": [0.5]}, "mean must be three numbers"),
        (SMALL | {"weights": "IMAGENET1K_V1"}, "no weights file 'IMAGENET1K_V1'"),
        ({"name": f"{OWN}:hugging_vit", "head": "classifier"}, "give mean and std"),
        ({"name": f"{OWN}:text", "head": "fc"}, "must be a function or class that makes"),
        ({"name": f"{OWN}:Block", "head": "fc"}, "its positional argument 'size' is no fact"),
        ({"name": "torchvision.models:resnet19"}, "has no 'resnet19'; did you mean 'resnet18'"),
    ],
)
def test_mistakes_are_told(section: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        made(**section)
