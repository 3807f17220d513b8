"""Features of rungs by a frozen network: read from their own step, and the same as a fresh pass."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from timm import create_model

from debias.audits.cues import encoder, ladder
from debias.audits.cues.encoder import (
    ENCODED,
    FEATURES,
    chosen_encoder,
    feature_step,
    frozen_encoder,
    rung_numbers,
)
from debias.audits.cues.ladder import CUES, measure, probe_step
from debias.audits.cues.ladder_page import LADDER, PROBES
from debias.audits.engine import chosen_steps
from debias.audits.model import resized
from debias.audits.rows import whole_images
from debias.data.pictures.geometry import Geometry
from debias.errors import InputError
from tests.audits.made_models import MadeModel, background_reader

from .made_audits import made_audit, noise
from .test_ladder import discs


class ColourNetwork:
    """Stands in for the frozen network: its features are the mean colours of the picture."""

    run = None

    def features(self, pictures):
        return np.float32(pictures.mean(axis=(1, 2)) / 255)


@pytest.fixture
def audited():
    target = np.arange(40) % 2
    made = made_audit(noise(40, 0, side=48), target, masks=discs(40, 0))
    return replace(made, encoder=ColourNetwork())


@pytest.fixture(scope="module")
def probed():
    """Ten images, with the probe of every rung."""
    target = np.arange(10) % 2
    made = made_audit(noise(10, 0, side=48), target, masks=discs(10, 0))
    made = replace(made, encoder=ColourNetwork())
    for step in PROBES:
        made.found[step.name] = step.compute(made)
    return made


def test_every_encoder_rung_has_a_step_and_without_an_encoder_they_say_so_once():
    assert [step.name for step in FEATURES] == [
        feature_step(name) for name in (*ENCODED, "statistics")
    ]
    alone = made_audit(noise(4, 0, side=24), np.arange(4) % 2)
    reasons = {step.name: step.unavailable(alone) for step in FEATURES}
    assert reasons.pop(feature_step("image")) == "encoder=none"
    assert set(reasons.values()) == {""}
    assert FEATURES[1].compute(alone) == {}


def test_statistics_are_kept_for_all_images_without_loss():
    pictures, target = noise(40, 0, side=24), np.arange(40) % 2
    audited = made_audit(pictures, target)
    step = FEATURES[-1]
    before = whole_images.plain_numbers(audited), ladder.judged_numbers(audited, "statistics")
    audited.found[step.name] = step.compute(audited)
    after = whole_images.plain_numbers(audited), ladder.judged_numbers(audited, "statistics")
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    audited.found[step.name] = {"features": 0 * audited.found[step.name]["features"]}
    assert not ladder.judged_numbers(audited, "statistics").any()


def test_kept_features_are_read_in_place_of_a_new_pass(audited):
    """The whole image is kept for all images, a rung for the judged ones."""
    step = next(one for one in FEATURES if one.name == feature_step("background"))
    audited.found[step.name] = step.compute(audited)
    assert audited.found[step.name]["features"].dtype == np.float16
    kept = ladder.judged_numbers(audited, "background")
    del audited.found[step.name]
    fresh = ladder.judged_numbers(audited, "background")
    assert np.allclose(kept, fresh, atol=1e-3)
    audited.found[step.name] = {"features": np.zeros_like(kept, np.float16)}
    assert not ladder.judged_numbers(audited, "background").any()


def test_the_encoder_reads_what_is_left_of_the_picture(audited):
    pictures, masks = audited.pictures[:3], audited.masks[:3]
    network = ColourNetwork()
    silhouettes = rung_numbers("silhouette", pictures, masks, network)
    assert silhouettes[:, 0] == pytest.approx(masks.mean(axis=(1, 2)), abs=1e-6)
    assert np.array_equal(
        rung_numbers("image", pictures, None, network), network.features(pictures)
    )


def test_a_real_network_gives_features_of_any_side(tmp_path):
    """A file of weights is read, no head is needed, and nothing is downloaded."""
    network = create_model("resnet10t", pretrained=False, num_classes=3)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    made = made_audit(noise(4, 0, side=48), np.arange(4) % 2)
    given = replace(made, encoder=frozen_encoder("resnet10t", f"{tmp_path}/weights.pt", side=48))
    step = FEATURES[0]
    features = step.compute(given)["features"]
    assert features.shape == (4, 512)
    assert np.isfinite(features).all()
    assert np.array_equal(step.compute(given)["features"], features)
    other = np.zeros((70, 90, 3), np.uint8)  # such as a stimulus: cropped as an audit's pictures
    assert given.encoder.network.geometry.image(other).shape == (48, 48, 3)


def test_a_probe_of_a_rung_is_kept_in_its_step(probed, monkeypatch):
    """A killed audit then goes on at the rung that it was at."""
    assert [step.name for step in PROBES] == [probe_step(name) for name in ladder.RUNGS]
    steps, speaking = chosen_steps((*LADDER[:-1], LADDER[-1]._replace(needs=())), CUES)
    assert {step.name for step in (*FEATURES, *PROBES)} < {step.name for step in steps}
    assert speaking == (CUES,)
    monkeypatch.setattr(ladder, "cross_fitted", None)  # no probe is fitted again
    kept = measure(probed)
    for name, scores in zip(kept["names"].tolist(), kept["scores"], strict=True):
        assert np.array_equal(scores, probed.found[probe_step(name)]["scores"])


def test_an_encoder_is_none_a_run_or_a_network(tmp_path, monkeypatch):
    own = MadeModel(background_reader(), np.zeros((0, 32, 32, 3), np.uint8), None)
    assert chosen_encoder("none", None, own) is None
    assert chosen_encoder("run", None, own) is own
    with pytest.raises(InputError, match="give encoder=RUN_FOLDER"):
        chosen_encoder("run", None, None)
    (tmp_path / "config.yaml").write_text("")
    monkeypatch.setattr(encoder, "model_of_run", lambda folder: f"the run {folder}")
    assert chosen_encoder(str(tmp_path), None, None) == f"the run {tmp_path}"


def test_the_backbone_of_a_run_reads_pictures_of_its_own_size(probed):
    """The pictures of the audit have 48 pixels, those of the run 32; and the page says so."""
    own = MadeModel(background_reader(), np.zeros((0, 32, 32, 3), np.uint8), None, Path("run"))
    given = replace(probed, encoder=own, found={CUES: measure(probed)})
    assert (given.encoder_saw_labels, probed.encoder_saw_labels) == (True, False)
    small = resized(given.pictures, Geometry((), 32, 32))
    assert small.shape == (10, 32, 32, 3)
    assert resized(small, Geometry((), 32, 32)) is small
    assert np.array_equal(own.features(given.pictures), own.features(small))
    said = " ".join(LADDER[-1].section(given).text)
    assert "it may have learned these images by heart" in said


def test_features_do_not_depend_on_the_number_of_threads():
    """Pictures are read in small batches, each on one thread, in their order."""
    own = MadeModel(background_reader(), np.zeros((0, 32, 32, 3), np.uint8), None)
    pictures = noise(300, 1, side=32)
    threads = torch.get_num_threads()
    one = own.features(pictures)
    try:
        torch.set_num_threads(3)
        assert np.array_equal(own.features(pictures), one)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(one[-1:], own.features(pictures[-1:]))
