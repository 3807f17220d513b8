"""A strategy that changes pictures: predictions are of these, logs and report show them."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from debias import config as configs
from debias.build import build
from debias.commands.train import train
from debias.models.checkpoints import load_weights
from debias.reports.predictions import read
from tests.commands.conftest import overrides

STAGES = (
    "strategy.pretraining=5",
    "strategy.warmup=5",
    "strategy.width=4",
    "strategy.closeness=0",
    "optimizer.lr=0.01",
)


@pytest.fixture(scope="module")
def masked(tmp_path_factory) -> Path:
    """A run with masked pictures, five steps an epoch: model and adversary, the mask, then all."""
    folder = tmp_path_factory.mktemp("masked")
    return train(
        configs.load("drawn_birds/input_adversary", overrides(folder, *STAGES, "select=average"))
    )


def test_predictions_are_of_masked_pictures(masked):
    """Model and mask of the selected epoch by hand, in evaluation mode."""
    parts = build(configs.read(masked / "config.yaml"))
    epoch = json.loads((masked / "report.json").read_text())["selection"]["epoch"]
    load_weights(parts.module, masked / "checkpoints" / f"epoch={epoch:03d}.ckpt")
    model, strategy = parts.module.model.eval(), parts.module.strategy.eval()
    for split in ("val", "test"):
        batches = [
            parts.data.on_after_batch_transfer(batch, 0) for batch in parts.data.loader(split)
        ]
        image = torch.cat([batch.image for batch in batches])
        with torch.no_grad():
            expected = model(strategy.mask(image) * image).logits
            plain = model(image).logits
        written = read(masked / "predictions" / f"{split}.csv").logits
        torch.testing.assert_close(written, expected, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(written, plain, rtol=1e-2, atol=1e-2)


def logged(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return events


def test_tensorboard_shows_them_every_epoch(masked):
    """Eight rows of three pictures of 32 pixels, 2 apart: 2 + 3 * 34 wide, 2 + 8 * 34 high."""
    images = logged(masked).Images("val/prepared")
    assert [image.step for image in images] == [0, 1, 2]
    assert {(image.width, image.height) for image in images} == {(104, 274)}
    grids = [
        cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
        for image in images
    ]
    original, _, given = (grids[-1][2:34, start : start + 32] for start in (2, 36, 70))
    assert original.std() > 10
    assert (original != given).any()
    assert (grids[0][:, 2:34] == grids[-1][:, 2:34]).all()
    assert (grids[0][:, 36:68] != grids[-1][:, 36:68]).any()


def test_report_shows_two_of_each_group(masked):
    html = (masked / "report.html").read_text()
    assert "Input of the model" in html
    alternatives = re.findall(
        r'alt="(\S+): the image, the kept share of each pixel, the changed image"', html
    )
    names = ["landbird-land", "landbird-water", "waterbird-land", "waterbird-water"]
    assert alternatives == [name for name in names for _ in range(2)]


def test_where_pictures_stay_as_they_are_nothing_is_shown(finished):
    assert "Input of the model" not in (finished / "report.html").read_text()
    assert logged(finished).Tags()["images"] == []
