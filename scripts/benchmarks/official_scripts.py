"""Runs the authors' scripts for ``scripts/bench published``, on a CPU and with our digits.

Their loops and their data code run as they are. Replaced are calls of a GPU, the download of MNIST,
loader processes (16 per loader would share the cores of this machine), and ``sacred``, which LfF
uses for its settings.
"""

import os
import pickle
import runpy
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn
from torch.optim import Adam
from torch.utils import data

from debias.data.made.coloured_mnist_lff import coloured_mnist_lff
from debias.data.made.digits import read_digits

SKEW = "ColoredMNIST-Skewed0.01-Severity4"


def seconds(table: str, steps: int, repositories: Path, digits: Path) -> float:
    """Processor seconds of an authors' script after its first step, with its evaluations."""
    started: list[float] = []
    step = Adam.step

    def timed(self: Adam, *arguments: Any) -> Any:
        result = step(self, *arguments)
        if not started:
            started.append(time.process_time())
        return result

    Adam.step = timed  # type: ignore[method-assign]
    if table == "irm":
        run_irm(steps, repositories, digits)
    else:
        run_lff(table, steps, repositories, digits)
    return time.process_time() - started[0]


def run_irm(steps: int, repositories: Path, digits: Path) -> None:
    def digits_of(*_: Any, **__: Any) -> types.SimpleNamespace:
        images, labels = (torch.from_numpy(each.copy()) for each in read_digits(digits, "train"))
        return types.SimpleNamespace(data=images, targets=labels.long())

    torchvision.datasets.MNIST = digits_of
    for each in (torch.Tensor, nn.Module):
        each.cuda = lambda self: self  # type: ignore[method-assign,assignment]
    options = {
        "hidden_dim": 390, "l2_regularizer_weight": 0.0011, "lr": 0.00049, "n_restarts": 1,
        "penalty_anneal_iters": 190, "penalty_weight": 91257, "steps": steps,
    }  # fmt: skip
    sys.argv = ["main.py", *(f"--{name}={value}" for name, value in options.items())]
    place = repositories / "InvariantRiskMinimization" / "code" / "colored_mnist"
    runpy.run_path(str(place / "main.py"), run_name="__main__")


class Experiment:
    """The part of ``sacred`` that LfF uses: it calls the script with one dictionary of settings."""

    settings: dict[str, Any]

    def __init__(self, name: str) -> None:
        self.name = name

    def config(self, function: Callable[..., None]) -> Callable[..., None]:
        return function

    named_config = config

    def automain(self, function: Callable[..., None]) -> None:
        function(**Experiment.settings)


def without_processes(begin: Callable[..., None]) -> Callable[..., None]:
    """The constructor of a loader that loads in this process."""

    def constructor(self: Any, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options | {"num_workers": 0, "pin_memory": False})

    return constructor


def run_lff(table: str, steps: int, repositories: Path, digits: Path) -> None:
    for name in ("sacred", "sacred.observers"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["sacred"].Experiment = Experiment  # type: ignore[attr-defined]
    sys.modules["sacred.observers"].MongoObserver = None  # type: ignore[attr-defined]
    loader: Any = data.DataLoader
    loader.__init__ = without_processes(loader.__init__)
    repository = repositories / "LfF"
    with tempfile.TemporaryDirectory() as folder:
        write_tinted(Path(folder) / SKEW, digits)
        Experiment.settings = {
            "main_tag": "bench", "dataset_tag": SKEW, "model_tag": "MLP", "data_dir": folder,
            "log_dir": folder, "device": "cpu", "target_attr_idx": 0, "bias_attr_idx": 1,
            "main_num_steps": steps, "main_valid_freq": 235, "main_batch_size": 256,
            "main_optimizer_tag": "Adam", "main_learning_rate": 1e-3, "main_weight_decay": 0.0,
        }  # fmt: skip
        sys.path[0] = str(repository)  # in place of this folder, whose data.py would hide theirs
        os.chdir(repository)
        script = "train.py" if table == "lff" else "train_vanilla.py"
        runpy.run_path(script, run_name="__main__")


def write_tinted(folder: Path, digits: Path) -> None:
    """Write our tinted digits in the files that LfF reads."""
    examples = coloured_mnist_lff(root=str(digits), val=0)
    for split, name in (("train", "train"), ("test", "valid")):
        rows = examples.rows(split)
        (folder / name).mkdir(parents=True)
        images = np.stack([examples.store.read(row) for row in rows.tolist()])
        np.save(folder / name / "images.npy", images)
        labels = torch.stack([examples.target[rows], examples.bias[rows]], dim=1)
        np.save(folder / name / "attrs.npy", labels.numpy())
    (folder / "attr_names.pkl").write_bytes(pickle.dumps(["digit", "color"]))
