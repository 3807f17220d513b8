"""Features of rungs by a frozen network: read from their own step, and the same as a fresh pass."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from timm import create_model

from debias.audits.cues import encoder, ladder
from debias.audits.cues.encoder import ENCODED, FEATURES, feature_step, rung_numbers
from debias.audits.steps import NO_ENCODER

from .made_audits import made_audit, noise
from .test_ladder import discs


class ColourNetwork:
    """Stands in for the frozen network: its features are the mean colours of the picture."""

    def features(self, pictures):
        return np.float32(pictures.mean(axis=(1, 2)) / 255)


@pytest.fixture
def audited(monkeypatch):
    monkeypatch.setattr(encoder, "frozen_encoder", lambda given: ColourNetwork())
    monkeypatch.setattr(ladder, "frozen_encoder", lambda given: ColourNetwork())
    target = np.arange(40) % 2
    made = made_audit(noise(40, 0, side=48), target, masks=discs(40, 0))
    return replace(made, encoder="a_network")


def test_every_encoder_rung_has_a_step_and_without_an_encoder_they_say_so_once():
    assert [step.name for step in FEATURES] == [feature_step(name) for name in ENCODED]
    alone = made_audit(noise(4, 0, side=24), np.arange(4) % 2)
    assert alone.encoder == NO_ENCODER
    reasons = {step.name: step.unavailable(alone) for step in FEATURES}
    assert reasons.pop(feature_step("image")) == "encoder=none"
    assert set(reasons.values()) == {""}
    assert FEATURES[1].compute(alone) == {}


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
    given = replace(made, encoder="resnet10t", encoder_weights=tmp_path / "weights.pt")
    step = FEATURES[0]
    features = step.compute(given)["features"]
    assert features.shape == (4, 512)
    assert np.isfinite(features).all()
    assert np.array_equal(step.compute(given)["features"], features)
