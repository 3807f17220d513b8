"""``debias export``: other programs compute the run's logits, from pictures that PIL reads."""

import contextlib
import copy
import io
import json
import re
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.__main__ import main
from debias.components import construct
from debias.errors import InputError
from debias.models.classifier import Classifier
from debias.reports.predictions import read
from debias.strategies.domain_independent import DomainIndependent
from debias.trained import export as exports
from debias.trained.model import TrainedModel, load
from debias.trained.notes import readme

TOLERANCE = 1e-4
#: The exporters of torch warn about their own internals.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def model(finished):
    return load(finished)


def with_packages(format):
    absent = [name for name in exports.FORMATS[format].packages if find_spec(name) is None]
    return pytest.param(format, marks=pytest.mark.skipif(bool(absent), reason=f"needs {absent}"))


@pytest.mark.parametrize("format", [with_packages(format) for format in exports.FORMATS])
def test_the_readme_computes_the_logits_of_the_run(format, finished, tmp_path, monkeypatch):
    """Its lines run as they are, on pictures of the test split: logits and class."""
    assert main(["export", str(finished), f"format={format}", f"out={tmp_path}/out"]) == 0
    monkeypatch.chdir(tmp_path / "out")
    monkeypatch.syspath_prepend(str(tmp_path / "out"))
    rows = read(finished / "predictions" / "test.csv")
    root = Path(configs.read(finished / "config.yaml").data["root"])
    classes = json.loads(Path("preprocessing.json").read_text())["classes"]
    code = re.search(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)[1]
    for number in (0, 13, 26, 39):
        names: dict[str, object] = {}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code.replace("picture.jpg", str(root / rows.paths[number])), names)
        given = torch.from_numpy(names["logits"])
        torch.testing.assert_close(given[0], rows.logits[number], rtol=0, atol=TOLERANCE)
        assert printed.getvalue().strip() == classes[rows.logits[number].argmax()]
    sys.modules.pop("preprocess")


def test_the_readme_names_the_packages_of_the_preprocessing(model):
    piped = copy.copy(model)
    section = {"name": "albumentations", "evaluation": [{"Resize": {"height": 8, "width": 8}}]}
    piped.geometry = construct("preprocessing", section, {}).evaluation
    assert "`preprocess.py` needs NumPy and PIL alone" in readme(model, "onnx", "model.onnx")
    assert "needs NumPy, PIL and albumentations," in readme(piped, "onnx", "model.onnx")


def test_an_export_that_computes_something_else_is_not_kept(model, tmp_path, monkeypatch):
    def write(model, images, path):
        broken = copy.deepcopy(model)
        broken.model.head.bias.data += 0.01
        exports._write_safetensors(broken, images, path)

    broken = exports.FORMATS["safetensors"]._replace(write=write)
    monkeypatch.setitem(exports.FORMATS, "safetensors", broken)
    with pytest.raises(InputError, match=r"differ by 0\.01 from those of the model"):
        exports.export(model, "safetensors", tmp_path / "out")
    assert [*tmp_path.iterdir()] == []


def test_a_model_that_cannot_be_traced_is_one_line(model, tmp_path, monkeypatch):
    def write(model, images, path):
        raise RuntimeError("data-dependent branch\nand pages more")

    broken = exports.FORMATS["torch_export"]._replace(write=write)
    monkeypatch.setitem(exports.FORMATS, "torch_export", broken)
    with pytest.raises(InputError, match=r"as model\.pt2 \(RuntimeError: data-dependent branch\)"):
        exports.export(model, "torch_export", tmp_path / "out")
    assert [*tmp_path.iterdir()] == []


def test_what_a_strategy_computes_is_exported_or_refused(model, tmp_path):
    """Weights of the network alone would give other classes."""
    heads = DomainIndependent(model.groups, inference="probabilities")
    with_heads = torch.nn.Linear(model.model.feature_size, 4)
    trained = TrainedModel(load(model.report.folder).model, heads, model.geometry, model.report)
    trained.model.head = with_heads
    trained.eval()
    with pytest.raises(InputError, match="needs more to predict: use format=onnx"):
        exports.export(trained, "safetensors", tmp_path / "out")
    exports.export(trained, "torch_export", tmp_path / "out")
    images = torch.randn(5, 3, 32, 32)
    logits = torch.export.load(tmp_path / "out" / "model.pt2").module()(images)
    torch.testing.assert_close(logits, trained(images), rtol=0, atol=TOLERANCE)
    assert logits.shape == (5, 2)


def test_a_wrapped_network_is_exported(model, tmp_path):
    """A network of the user's own; safetensors would need timm to build it."""
    pooled = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), pooled, torch.nn.Linear(8, 2))
    wrapped = TrainedModel(Classifier.wrap(network, "2"), None, model.geometry, model.report).eval()
    exports.export(wrapped, "torch_export", tmp_path / "out")
    images = torch.randn(5, 3, 32, 32)
    logits = torch.export.load(tmp_path / "out" / "model.pt2").module()(images)
    torch.testing.assert_close(logits, wrapped(images), rtol=0, atol=TOLERANCE)
    named = {**model.report.config, "model": {"name": "my_package:network"}}
    wrapped.report = replace(model.report, config=named)
    with pytest.raises(InputError, match="is for networks of timm; got model"):
        exports.export(wrapped, "safetensors", tmp_path / "other")


def test_a_last_layer_on_an_embedding_is_not_written_as_a_network_of_timm(model, tmp_path):
    settings = {**model.report.config, "model": {"name": "resnet18", "embedding": True}}
    changed = copy.copy(model)
    changed.report = replace(model.report, config=settings)
    with pytest.raises(InputError, match=r"model\.embedding=true: use format=onnx"):
        exports.export(changed, "safetensors", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["format=pickle"], "format must be one of safetensors, onnx, torch_export; got 'pickle'"),
        (["size=3"], "unknown option 'size=3' of export; valid: format, out"),
        (["out=full"], "out=full exists and is not an empty folder: give another one"),
    ],
)
def test_wrong_options_are_one_line(options, message, finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    before = {path.name for path in finished.iterdir()}
    assert main(["export", str(finished), *options]) == 2
    assert capsys.readouterr().err == f"debias: {message}\n"
    assert {path.name for path in finished.iterdir()} == before
