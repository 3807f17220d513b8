"""The commands as functions of Python: the same runs, values and errors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pytorch_lightning.callbacks import Callback

import debias
from debias import config as configs
from debias.api import _texts
from debias.errors import InputError
from debias.reports.record import read_report
from tests.commands.conftest import SMALL, overrides
from tests.project.test_architecture import loaded_by

PARITY = "demographic_parity_difference"


def test_the_package_stays_light_and_names_its_functions():
    assert not loaded_by("import debias") & {"torch", "numpy", "omegaconf", "debias.api"}
    assert {"train", "load", "evaluate", "compare", "TrainedRun"} <= set(dir(debias))
    with pytest.raises(AttributeError, match="has no attribute 'audit_all'"):
        debias.audit_all  # noqa: B018


class Epochs(Callback):
    """Remembers the epochs."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.seen.append(trainer.current_epoch)


def test_options_of_the_trainer_are_checked(tmp_path):
    with pytest.raises(InputError, match="the Trainer option 'max_epochs' cannot be set"):
        debias.train("drawn_birds", {"out": str(tmp_path)}, trainer={"max_epochs": 2})


def test_training_with_a_mapping_is_the_run_of_the_command_line(finished, tmp_path):
    """Same folder name, hence the same config; a finished run is returned, not trained again."""
    root = configs.read(finished / "config.yaml").data["root"]
    values = dict(text.split("=") for text in SMALL) | {
        "data.root": Path(root),
        "out": str(tmp_path),
        "epochs": 1,
        "optimizer.lr": 1e-2,
        "measures": "none",
    }
    epochs = Epochs()
    run = debias.train("drawn_birds", values, resume="auto", callbacks=[epochs])
    assert epochs.seen == [0]
    texts = [f"{key}={value}" for key, value in values.items()]
    assert run.folder == tmp_path / configs.run_name(configs.load("drawn_birds", texts))
    assert run.report.config["optimizer"]["lr"] == 0.01
    assert debias.train("drawn_birds", texts, resume="auto") == run
    config = configs.load("drawn_birds", texts)
    with pytest.raises(InputError, match="is finished: read"):
        debias.train(config)
    with pytest.raises(InputError, match="the Trainer option 'epochs' cannot be set"):
        debias.train(config, {"seed": 1}, trainer={"epochs": 3})
    with pytest.raises(InputError, match="a callback must be a"):
        debias.train(config, {"seed": 1}, callbacks=[print])
    table = run.table()
    scores = [run.report.test.scalars[f"accuracy/{name}"] for name in table.index]
    assert table["accuracy"].tolist() == scores
    assert table["count"].sum() == 40
    assert [run.table(split)["count"].sum() for split in ("train", "val")] == [80, 40]
    with pytest.raises(InputError, match="split must be one of train, val, test; got 'validation'"):
        run.table("validation")


def test_values_of_a_mapping_are_what_they_are():
    """A path is no YAML, and an array of numpy is a list; a text is YAML."""
    paths = ["/a #b", "2024_01_01", "null", "1.10", "[a]", "/x: y"]
    found = [configs.load("drawn_birds", _texts({"data.root": Path(path)})) for path in paths]
    assert [config.data["root"] for config in found] == paths
    others = {"seed": np.int64(3), "clip": np.float32(0.5), "data.targets": np.array(["a", "ä"])}
    config = configs.load("drawn_birds", _texts(others | {"epochs": "7"}))
    assert (config.seed, config.clip, config.epochs) == (3, 0.5, 7)
    assert config.data["targets"] == ["a", "ä"]
    with pytest.raises(InputError, match="is read as out=runs: "):
        configs.load("drawn_birds", _texts({"out": "runs #2"}))
    with pytest.raises(InputError, match="JSON cannot hold <object"):
        _texts({"seed": object()})


def test_evaluate_returns_what_the_command_prints(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    result = debias.evaluate(
        debias.TrainedRun(tmp_path / "run"),
        {"measures": "fairness", "progress": False, "positive": "landbird"},
    )
    test = read_report(finished).test
    assert result.splits["test"].scalars["worst_group"] == test.scalars["worst_group"]
    assert set(result.measures) == {"fairness"}
    assert result.positive == "landbird"
    assert result.table("val")["count"].sum() == 40
    again = debias.evaluate(
        str(finished), ["measures=quick", "progress=false", "positive=waterbird"]
    )
    assert again.positive == "waterbird"


def test_evaluate_reads_files_of_predictions(finished):
    path = finished / "predictions" / "test.csv"
    result = debias.evaluate(path, ["measures=none"])
    expected = read_report(finished).test.scalars["average"]
    assert result.splits["test"].scalars["average"] == pytest.approx(expected)


def test_compare_has_one_row_per_method(finished, tmp_path):
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    with pytest.warns(UserWarning, match="left out: .*has not finished"):
        table = debias.compare(
            finished, tmp_path, measures=["fairness:demographic_parity_difference"]
        )
    report = json.loads((finished / "report.json").read_text())
    assert table["method"].tolist() == ["group_dro"]
    assert table["seeds"].tolist() == [[0]]
    assert table["worst_group"].item() == report["metrics"]["test"]["scalars"]["worst_group"]
    assert table[f"fairness:{PARITY}"].item() == report["measures"]["fairness"][PARITY]
    assert table["waterbird-land"].notna().all()


def test_a_single_text_is_no_list_of_overrides(tmp_path):
    with pytest.raises(TypeError, match="overrides must be a list"):
        debias.train("drawn_birds", "seed=1")
    assert overrides(tmp_path)  # a list is
