"""A real run on object storage: stopped on one machine, and finished on another."""

import json
from dataclasses import replace

import pytest
import torch

import debias
from debias import config as configs
from debias.commands.train import train
from debias.errors import InputError
from debias.places import epoch_sender, run_held
from debias.sweeps.launchers.pieces import OutOfTime

OUT = "memory://bucket/runs"


def stop(history):
    raise OutOfTime("the first epoch is over")


def test_run_goes_on_on_another_machine(memory, finished, tmp_path):
    """The first machine stops after an epoch; the result is that of the undisturbed run."""
    local = configs.read(finished / "config.yaml")
    one, two = (replace(local, out=OUT, cache_dir=str(tmp_path / name)) for name in ("one", "two"))
    with pytest.raises(OutOfTime), run_held(one):
        train(one, watch=stop)
    url = f"/bucket/runs/{finished.name}"
    assert memory.exists(f"{url}/checkpoints/last.ckpt")
    assert not memory.exists(f"{url}/report.json")
    with pytest.raises(InputError, match="holds an interrupted run: add resume"):
        debias.train(two)
    with pytest.raises(InputError, match="resume must be auto"):
        debias.train(two, resume=tmp_path / "elsewhere")
    run = debias.train(two, resume="auto")
    assert run.folder == tmp_path / "two/storage/memory/bucket/runs" / finished.name
    sent = json.loads(memory.cat_file(f"{url}/report.json"))
    assert sent["config"]["out"] == OUT
    assert sent["metrics"] == json.loads((finished / "report.json").read_text())["metrics"]
    weights = [_weights(folder) for folder in (run.folder, finished)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])
    again = debias.train(one, resume="auto")  # the first machine gets all of it
    assert again.report.test.scalars == run.report.test.scalars


def _weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_runs_on_a_disk_have_no_sender(finished):
    assert epoch_sender(configs.read(finished / "config.yaml")) is None
