"""``debias predict``, and the model that it loads: the run's own logits, for any pictures."""

import ast
import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from debias import config as configs
from debias.__main__ import main
from debias.build import build
from debias.commands.begin import DATA
from debias.commands.train import train
from debias.data.partition import write_inferred
from debias.data.pictures.images import MAX_PIXELS
from debias.errors import InputError
from debias.reports.predictions import read
from debias.trained.model import TrainedModel, load
from debias.types import Outputs
from tests.commands.conftest import overrides
from tests.fakes import birds
from tests.project.test_architecture import PACKAGE

#: Strategies that change the pictures or compute the classes themselves.
OWN_CLASSES = (
    *("domain_independent", "domain_discriminative", "disentangled", "input_adversary"),
    "partition",
)


@pytest.fixture(scope="module")
def model(finished):
    return load(finished)


@pytest.fixture(scope="module")
def own(finished):
    """The run's predictions of its test split, and the files."""
    rows = read(finished / "predictions" / "test.csv")
    root = Path(configs.read(finished / "config.yaml").data["root"])
    return rows, [root / path for path in rows.paths]


def rows_of(text):
    return [*csv.DictReader(text.splitlines())]


def test_the_logits_are_those_of_the_run(model, own):
    rows, files = own
    predicted = model.predict(files, batch_size=7)
    torch.testing.assert_close(predicted.logits, rows.logits, rtol=0, atol=1e-5)
    assert predicted.names == tuple(map(str, files))
    names = model.groups.target_names
    assert predicted.classes == [names[row] for row in rows.logits.argmax(dim=1).tolist()]


def test_files_pictures_tensors_and_loaders_have_the_same_predictions(model, own):
    files = own[1][:6]
    expected = model.predict(files).logits
    inputs = [model.preprocess(path) for path in files]
    pixels = torch.stack(inputs) * model.std + model.mean
    pictures = [Image.open(path) for path in files]
    for images in (
        [str(path) for path in files],
        pictures,
        torch.stack(inputs),
        (pixels * 255).round().byte(),
        DataLoader([(image, 0) for image in inputs], batch_size=4),
    ):
        given = model.predict(images, batch_size=4).logits
        torch.testing.assert_close(given, expected, rtol=0, atol=1e-5)


def test_a_prediction_does_not_change_the_mode_of_the_model(model, own):
    model.train()
    first = model.predict(own[1][:3]).logits
    assert model.training
    assert torch.equal(first, model.eval().predict(own[1][:3]).logits)


def test_the_command_lists_every_picture_once(finished, own, tmp_path, capsys):
    """Those that cannot be read with the reason. The file can be evaluated with a column target."""
    for path in own[1][:3]:
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "predictions.csv"
    assert main(["predict", str(finished), str(tmp_path), f"out={out}", "progress=false"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}\n"
    assert printed.err == f"1 pictures cannot be read: {tmp_path}/broken.jpg\n"
    rows = rows_of(out.read_text())
    assert [Path(row["path"]).name for row in rows] == [
        *(path.name for path in sorted(own[1][:3])),
        "broken.jpg",
    ]
    assert "cannot be decoded" in rows[-1]["error"]
    assert rows[-1]["prediction"] == "" == rows[0]["error"]
    shares = {name: float(rows[0][f"probability_{name}"]) for name in ("landbird", "waterbird")}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert rows[0]["prediction"] == max(shares, key=shares.get)
    main(["predict", str(finished), f"{tmp_path}/*test*.jpg", "progress=false"])
    assert rows_of(capsys.readouterr().out) == rows[:-1]


def test_a_pattern_of_files_is_no_option(finished, own, tmp_path, monkeypatch, capsys):
    """As in the folders of a table that is stored by column."""
    (tmp_path / "species=dog").mkdir()
    shutil.copyfile(own[1][0], tmp_path / "species=dog" / "1.jpg")
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(finished), "species=dog/*.jpg", "progress=false"]) == 0
    assert [row["path"] for row in rows_of(capsys.readouterr().out)] == ["species=dog/1.jpg"]
    assert main(["predict", str(finished), "species=cat/*.jpg"]) == 2
    assert "unknown option 'species' of predict" in capsys.readouterr().err


def test_a_name_that_is_not_utf8_is_written_escaped(finished, own, tmp_path, capsys):
    shutil.copy(own[1][0], os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    out = tmp_path / "predictions.csv"
    assert main(["predict", str(finished), str(tmp_path), f"out={out}", "progress=false"]) == 0
    (row,) = rows_of(out.read_text(encoding="utf-8"))
    assert row["path"] == f"{tmp_path}/caf\\udce9.jpg"
    assert row["prediction"] in ("landbird", "waterbird")


def test_the_largest_picture_is_that_of_the_run(model, own):
    """A run with data.max_pixels=N predicts what it was trained on, and nothing larger."""
    config = model.report.config
    small = {**config, "data": {**config["data"], "max_pixels": 100}}
    report = replace(model.report, config=small)
    strict = TrainedModel(model.model, None, model.geometry, report)
    with pytest.raises(InputError, match=r"more than data\.max_pixels=100 in all"):
        strict.predict(own[1][0])
    assert model.max_pixels == MAX_PIXELS


def test_all_pictures_unreadable_is_an_error(finished, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert main(["predict", str(finished), str(tmp_path), "progress=false"]) == 2
    assert "no picture can be read: picture" in capsys.readouterr().err


@pytest.mark.parametrize("name", OWN_CLASSES)
def test_strategies_that_compute_classes_themselves_are_loaded_too(name, finished, tmp_path):
    """An untrained run of each, with the record of a finished one."""
    root = configs.read(finished / "config.yaml").data["root"]
    texts = [f"strategy.name={name}", f"data.root={root}", "cache=false"]
    config = configs.load("drawn_birds", [*overrides(tmp_path, *texts), "model.pretrained=false"])
    module = build(config, trains=False).module.eval()
    report = json.loads((finished / "report.json").read_text())
    report["selection"]["epoch"] = 0
    report["config"] = configs.plain(config)
    (tmp_path / "checkpoints").mkdir()
    content = {"state_dict": module.state_dict(), "epoch": 0}
    torch.save(content, tmp_path / "checkpoints" / "epoch=000.ckpt")
    configs.save(config, tmp_path / "config.yaml")
    (tmp_path / "report.json").write_text(json.dumps(report))
    loaded = load(tmp_path)
    image = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        outputs: Outputs = module(image)
        torch.testing.assert_close(loaded(image), outputs.logits, rtol=1e-4, atol=1e-5)
    assert loaded.strategy is not None


@pytest.mark.filterwarnings("ignore:.*no training image in:UserWarning")
@pytest.mark.parametrize("name", ["domain_independent", "domain_discriminative"])
def test_inferred_groups_of_training_are_loaded_too(name, tmp_path):
    """Three values in place of two, one of them without an image of a class. A report that does not
    name them is that of an earlier version.
    """
    examples = birds(tmp_path, train=80, val=40, test=40)
    inferred = torch.arange(len(examples)) % 3
    inferred[(inferred == 2) & (examples.target == 1)] = 0
    write_inferred(tmp_path / "groups.csv", examples, inferred)
    groups = (f"groups.file={tmp_path}/groups.csv", "groups.splits=[train]")
    options = (f"strategy.name={name}", *groups, "epochs=1", "data.size=32")
    run = train(configs.load("drawn_birds", overrides(tmp_path, *options)))
    rows = read(run / "predictions" / "test.csv")
    files = [examples.root / path for path in rows.paths]
    found = load(run).predict(files).logits
    torch.testing.assert_close(found, rows.logits, rtol=0, atol=1e-5)
    report = json.loads((run / "report.json").read_text())
    entry = report.pop("training_groups")
    assert entry["biases"] == ["0", "1", "2"]
    assert (entry["counts"][5], sum(entry["counts"])) == (0, 80)
    (run / "report.json").write_text(json.dumps(report))
    with pytest.raises(InputError, match=r"needs .frequencies. of the training data"):
        load(run)


def test_a_folder_without_a_finished_run_is_an_error(finished, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "absent")
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(InputError, match="no checkpoint"):
        load(tmp_path / "run")
    (tmp_path / "run" / "report.json").unlink()
    assert (tmp_path / "run" / DATA).is_file()
    with pytest.raises(InputError, match="has not finished"):
        load(tmp_path / "run")


def imported_with(module):
    """The modules that are imported with a module of debias, by reading its files."""
    found, left = set(), {module}
    while left:
        name = left.pop()
        found.add(name)
        path = PACKAGE.parent.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name.startswith("debias") and file.is_file():
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in tree.body:  # not those in functions, or for type checkers alone
                if isinstance(node, ast.Import):
                    left |= {alias.name for alias in node.names}
                if isinstance(node, ast.ImportFrom):
                    left |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        left -= found
    return {name.split(".")[0] for name in found} | found


def test_loading_and_exporting_need_no_trainer():
    for module in ("debias.api", "debias.trained.model", "debias.trained.export"):
        names = imported_with(module)
        assert "debias.config" in names
        assert not names & {"pytorch_lightning", "lightning_fabric", "torchmetrics", "pandas"}
    assert "pytorch_lightning" in imported_with("debias.build")
