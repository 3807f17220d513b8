"""Local weights: loaded whole or refused with every key that does not fit, and never unpickled."""

import logging
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from debias.models.classifier import timm_classifier
from debias.models.weights import read_state_dict

NAME = "test_resnet"


def _state(classes: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(3)
    state: dict[str, Tensor] = timm.create_model(NAME, num_classes=classes).state_dict()
    return state


def _saved(state: dict[str, Tensor], folder: Path, suffix: str = ".safetensors") -> str:
    path = folder / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_every_tensor_of_the_file_arrives(suffix: str, tmp_path: Path) -> None:
    """Also with ``pretrained`` left true: with a file nothing is downloaded."""
    state = _state(5)
    classifier = timm_classifier(5, name=NAME, weights=_saved(state, tmp_path, suffix))
    loaded = classifier.state_dict()
    for key, value in state.items():
        own = key.replace("fc.", "head.") if key.startswith("fc.") else f"backbone.{key}"
        assert torch.equal(loaded[own], value)
    assert len(loaded) == len(state)


def test_a_head_of_other_classes_starts_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = _state(5)
    path = _saved(state, tmp_path)
    torch.manual_seed(4)
    new = timm_classifier(2, name=NAME, pretrained=False)
    torch.manual_seed(4)
    with caplog.at_level(logging.INFO):
        classifier = timm_classifier(2, name=NAME, weights=path)
    assert "no head of 2 classes: 'fc' gets new weights" in caplog.text
    assert torch.equal(classifier.head.weight, new.head.weight)
    assert torch.equal(classifier.state_dict()["backbone.conv1.0.weight"], state["conv1.0.weight"])


def test_a_file_without_head_leaves_the_head_new(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {key: value for key, value in _state().items() if not key.startswith("fc.")}
    with caplog.at_level(logging.INFO):
        timm_classifier(5, name=NAME, weights=_saved(state, tmp_path))
    assert "'fc' gets new weights" in caplog.text


def test_missing_unexpected_and_misshapen_keys_are_all_listed(tmp_path: Path) -> None:
    state = _state(5)
    del state["bn1.weight"], state["bn1.bias"]
    state |= {"extra": torch.zeros(1), "conv1.0.weight": torch.zeros(1, 2, 3, 3)}
    path = _saved(state, tmp_path)
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        timm_classifier(5, name=NAME, weights=path)
    message = str(caught.value)
    assert "2 missing: bn1.weight, bn1.bias" in message
    assert "1 unexpected: extra" in message
    assert "1 of another shape: conv1.0.weight is (1, 2, 3, 3), not " in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"fc.weight": torch.zeros(5, 7)},
            r"of another shape: fc.weight is \(5, 7\), not \(2, 96\), fc.bias",
        ),
        (
            {"fc.weight": torch.zeros(4, 96)},
            r"of another shape: fc.weight is \(4, 96\), not \(2, 96\), fc.bias",
        ),
        ({"fc.bias": None}, "1 missing: fc.bias"),
    ],
    ids=["other features", "weight and bias disagree", "half a head"],
)
def test_a_broken_head_is_refused(
    change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    state = {key: value for key, value in (_state(5) | change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        timm_classifier(2, name=NAME, weights=_saved(state, tmp_path))


class _Harmful:
    """Would write a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"fc.weight": _Harmful(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match="damaged, or contains more than tensors"):
        read_state_dict(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_damaged_file_is_refused(suffix: str, tmp_path: Path) -> None:
    path = Path(_saved(_state(), tmp_path, suffix))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is damaged"):
        read_state_dict(path)


@pytest.mark.parametrize(
    "content", [{"state_dict": {"fc.weight": torch.zeros(1)}}, [torch.zeros(1)]]
)
def test_anything_but_a_flat_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="is not a flat state dict"):
        read_state_dict(tmp_path / "weights.pth")


def test_a_path_that_is_not_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no weights file"):
        read_state_dict(tmp_path / "absent.pt")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ValueError, match=r"expected \.safetensors, \.pt or \.pth"):
        read_state_dict(tmp_path / "model.onnx")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    state = _state()
    name = next(key for key in state if state[key].is_floating_point())
    state[name].view(-1)[3] = value
    message = (
        f"contains NaN or infinity in 1 of {len(state)} tensors, such as {name}, so its training"
    )
    with pytest.raises(ValueError, match=message):
        timm_classifier(5, name=NAME, weights=_saved(state, tmp_path))
