"""The built-in data has a known answer: ERM takes the shortcut, Group DRO does not."""

import json

import pytest

from debias import config as configs
from debias.commands.train import train
from tests.commands.conftest import GROUP_DRO


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_erm_takes_the_shortcut_and_group_dro_does_not(tmp_path):
    """The shipped demo, seed 0, with a fifth of its images at half of their size, to be quick.

    Measured when written (test split, percent, seeds 0, 1): ERM worst group 0, 0, average 50, 50;
    Group DRO worst group 44, 28, average 56, 59. With torch 2.15, seed 0: 24.
    """
    found = {}
    for name, names in {"erm": (), "group_dro": GROUP_DRO}.items():
        options = [
            "data.train=800",
            "data.val=100",
            "data.test=400",
            "data.size=32",
            "preprocessing.size=32",
            "batch_size=32",
            "measures=none",
            "progress=false",
        ]
        where = [f"data.root={tmp_path}/birds", f"out={tmp_path}/runs"]
        run = train(configs.load("drawn_birds", [*names, *options, *where]))
        found[name] = json.loads((run / "report.json").read_text())["metrics"]["test"]["scalars"]
    assert found["erm"]["worst_group"] < found["erm"]["average"] - 0.25
    assert found["group_dro"]["worst_group"] > found["erm"]["worst_group"] + 0.15
    assert found["group_dro"]["average"] > found["erm"]["average"]
