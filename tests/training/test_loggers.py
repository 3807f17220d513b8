"""What loggers write: the same rows over a resume, and one logged run in W&B and MLflow."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest
import torch
from pytorch_lightning.loggers import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from debias.config import Config
from debias.errors import InputError
from debias.runs.single import log_test
from debias.strategies.erm import ERM
from debias.training.fit import fit, trainer
from debias.training.loggers import (
    MetricsFile,
    begin_logging,
    check_loggers,
    end_logging,
    log_picture,
    log_result,
    make_loggers,
)
from debias.training.recorder import Recorder
from tests.fakes import TinyData
from tests.training.test_module import module_of

#: They rewrite their own files at import, or warn of their own settings.
pytestmark = pytest.mark.filterwarnings("ignore")
SETTINGS = {"optimizer": {"name": "sgd", "lr": 0.1}}


def logged(names: list[str], folder: Path, *, epochs: int, title: str = "run") -> list[Logger]:
    """Train to an epoch with these loggers, from the last checkpoint in the folder if it exists."""
    loggers = make_loggers(names, folder, title)
    recorder = Recorder(folder, write=lambda epoch, predicted: None)
    lightning = trainer(
        folder, epochs=epochs, seed=0, accelerator="cpu", progress=False,
        callbacks=[recorder], loggers=loggers,
    )  # fmt: skip
    begin_logging(loggers, folder, SETTINGS)
    resume = recorder.last if recorder.last.is_file() else None
    fit(module_of(ERM, epochs=2), TinyData(), lightning, resume=resume)
    end_logging(loggers)
    return loggers


def test_the_csv_file_of_a_resumed_run_is_that_of_an_uninterrupted_one(tmp_path):
    """Also if the first process logged an epoch without a checkpoint before it was killed."""
    logged(["csv"], tmp_path / "whole", epochs=2)
    logged(["csv"], tmp_path / "two", epochs=1)
    killed = (tmp_path / "two" / "metrics.csv").read_text().splitlines()
    killed.append(killed[1].replace("0,5,", "1,11,", 1))
    (tmp_path / "two" / "metrics.csv").write_text("\n".join(killed) + "\n")
    logged(["csv"], tmp_path / "two", epochs=2)
    text = (tmp_path / "whole" / "metrics.csv").read_text()
    assert (tmp_path / "two" / "metrics.csv").read_text() == text
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["epoch"], row["step"]) for row in rows] == [("0", "5"), ("1", "11")]
    assert {"train/loss", "val/worst_group", "val/average"} <= rows[0].keys()
    assert not [value for row in rows for value in row.values() if value in ("", None)]


def test_the_csv_file_keeps_one_row_per_step(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    file.log_metrics({"val/a": 0.5, "epoch": 0}, step=5)
    file.log_metrics({"train/b": 2.0, "epoch": 0}, step=5)
    file.log_metrics({"val/a": 0.25, "epoch": 1}, step=11)
    log_result([file], {"test/a": 0.75})  # not an epoch
    file.save()
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "epoch,step,val/a,train/b",
        "0,5,0.5,2.0",
        "1,11,0.25,",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["tensorbord"], "unknown logger 'tensorbord' in loggers; did you mean 'tensorboard'"),
        (["csv", "csv"], "loggers names csv 2 times"),
    ],
)
def test_names_of_loggers_are_checked(names, message):
    with pytest.raises(InputError, match=message):
        check_loggers(names)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_whose_package_is_absent_is_one_line(name, monkeypatch):
    monkeypatch.setattr("debias.training.loggers.find_spec", lambda package: None)
    with pytest.raises(InputError, match=rf'loggers=\[{name}\] needs.*"debias-vision\[{name}\]"'):
        check_loggers(["csv", name])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="needs the extra wandb")
def test_weights_and_biases_continues_its_run(tmp_path, monkeypatch):
    """Offline, each process has a folder of its own; both have the run's one random name."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_CACHE_DIR", raising=False)
    for epochs in (1, 2):
        logged(["wandb"], tmp_path / "run", epochs=epochs)
    name = json.loads((tmp_path / "run" / "logged_as.json").read_text())["wandb"]
    files = sorted((tmp_path / "run" / "wandb").glob(f"offline-run-*-{name}/run-{name}.wandb"))
    assert len(files) == 2
    for file, step in zip(files, (b"5", b"11"), strict=True):
        content = file.read_bytes()
        assert b"val/worst_group" in content
        assert re.search(rb"trainer/global_step[^a-z]{1,9}" + step + rb"\b", content)
    # only a new logged run gets the settings
    assert [b"optimizer" in file.read_bytes() for file in files] == [True, False]
    assert not (tmp_path / "home").exists()


def test_of_the_test_metrics_the_defined_and_followed_ones_are_logged(tmp_path, monkeypatch):
    """Two groups are too many here; an undefined number has no point."""
    monkeypatch.setattr("debias.training.module.MOST_FOLLOWED", 1)
    scalars = {"average": 0.5, "worst_group": None, "accuracy/a": 0.25, "accuracy/b": 0.75}
    log_test(Config(loggers=["tensorboard"]), tmp_path / "run", scalars)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["test/average"]
    assert events.Scalars("test/average")[0].value == 0.5


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """An MLflow server on this machine, with its database in the folder; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", f"--port={port}", "--workers=1"]
    stores = ["--backend-store-uri=sqlite:///server.db", "--artifacts-destination=artifacts"]
    process = subprocess.Popen([*command, *stores], cwd=folder, start_new_session=True)
    try:
        yield answering(f"http://127.0.0.1:{port}")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def answering(address: str) -> str:
    """The address, as soon as its server answers."""
    for _ in range(1000):  # it starts in seconds, or in a minute on a busy machine
        with suppress(OSError), urlopen(f"{address}/health"):
            return address
        time.sleep(0.2)
    raise TimeoutError(address)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs the extra mlflow")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("served", [False, True], ids=["file", "server"])
def test_mlflow_continues_its_run(tmp_path, monkeypatch, served):
    """One run, with the settings, every epoch and the result: in the run's folder, or a server."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with server(tmp_path / "server") if served else nullcontext() as address:
        if address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        for epochs in (1, 2):
            (logger,) = logged(["mlflow"], tmp_path / "run", epochs=epochs)
        log_picture([logger], "val/prepared", torch.zeros(3, 2, 2), 1)
        log_result([logger], {"test/worst_group": 0.25})
        client = logger.experiment
        (run,) = client.search_runs([logger.experiment_id])
        history = client.get_metric_history(run.info.run_id, "val/worst_group")
    identity = json.loads((tmp_path / "run" / "logged_as.json").read_text())["mlflow"]
    assert run.info.run_id == identity
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params == {"optimizer/name": "sgd", "optimizer/lr": "0.1"}
    assert run.data.metrics["test/worst_group"] == 0.25
    assert [metric.step for metric in history] == [5, 11]
    place = "server" if served else "run"
    assert {path.name for path in tmp_path.iterdir()} == {"run", place}
    assert list((tmp_path / place).rglob("prepared-epoch=001.png"))
