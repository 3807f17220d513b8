"""The rule of the last epoch, and batch normalisation that stands still, from config to report."""

import json
from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.commands.train import train
from tests.commands.conftest import overrides


@pytest.mark.slow
def test_the_last_epoch_is_reported_and_nothing_else_moves(tmp_path: Path) -> None:
    """At a rate of 1e-12, with frozen statistics, all epochs are alike: other rules take the first.

    The frozen means stay at 0 through all that Lightning sets to training mode.
    """
    still = ["model.pretrained=false", "model.freeze_batch_norm=true", "optimizer.lr=1.0e-12"]
    run = train(configs.load("drawn_birds", overrides(tmp_path, "select=last", *still)))
    report = json.loads((run / "report.json").read_text())
    chosen = {row["rule"]: row["epoch"] for row in report["selection"]["table"]}
    assert chosen == dict.fromkeys(
        ("worst_group", "worst_class", "average", "balanced", "class_difference"), 0
    ) | {"last": 2}
    assert report["selection"]["epoch"] == 2
    assert report["strategy"]["group_labels"] == "none"
    assert {path.name for path in (run / "checkpoints").iterdir()} == {
        "epoch=000.ckpt",
        "epoch=002.ckpt",
        "last.ckpt",
    }
    state = torch.load(run / "checkpoints" / "epoch=002.ckpt", weights_only=True)["state_dict"]
    means = [value for key, value in state.items() if key.endswith("running_mean")]
    assert len(means) > 6
    assert not any(value.any() for value in means)
    assert (
        "Epoch 2, the last, was used. No group labels were used"
        in (run / "report.html").read_text()
    )
