"""The command line imports less of torchmetrics, and a process cannot see the difference."""

import gc
import subprocess
import sys

import torchmetrics

from debias import imports
from debias.imports import fast_imports

LIGHT = """
import gc, sys
from debias.imports import fast_imports
with fast_imports():
    assert not gc.isenabled()
    from pytorch_lightning import LightningModule
assert gc.isenabled()
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"scipy", "matplotlib"}))
import torch
from torchmetrics import Accuracy, MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy
assert issubclass(Accuracy, Metric) and issubclass(MulticlassAccuracy, Metric)
mean = MeanMetric()
mean.update(torch.tensor([1.0, 2.0]))
print(mean.compute().item(), type(mean.plot()[0]).__name__)
"""


def test_lightning_loads_no_scipy_and_the_rest_of_torchmetrics_still_works():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "1.5 Figure"]


def test_a_release_of_another_structure_is_imported_as_usual(monkeypatch):
    kept = {name: sys.modules[name] for name in sys.modules if name.startswith("torchmetrics")}
    for name in kept:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(imports, "PLOTS", "torchmetrics.utilities.drawing")
    with fast_imports():
        assert not [name for name in sys.modules if name.startswith("torchmetrics")]


def test_collection_goes_on_and_nothing_is_imported_twice():
    before = torchmetrics.Metric
    with fast_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert sys.modules["torchmetrics"].Metric is before
