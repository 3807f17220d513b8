"""Slices of a run whose model reads the surroundings, with and without its maps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from debias.audits.slices import strategies_step
from debias.audits.slices.slices_step import SLICES_STEP
from debias.audits.slices.strategies_step import STRATEGIES, STRATEGIES_STEP, decided_maps
from tests.audits.made_models import OBJECT, background_reader, done, made_run
from tests.audits.test_map_steps import surroundings_reader


@pytest.fixture(scope="module")
def audited():
    """One in three pictures has the surroundings of the other class. The model errs on them."""
    return made_run(surroundings_reader(), rows=600, masks=False, conflicting=3)


def test_slices_of_a_run_are_its_errors_on_validation(audited):
    lines, section = done(SLICES_STEP, audited)
    assert {line.strength for line in lines} == {"strong"}
    wrong = np.arange(600) // 2 % 3 == 0
    for line in lines:
        assert line.value == 0
        assert wrong[list(line.rows)].all()
        assert (audited.split[list(line.rows)] == 1).all()
    assert "the model errs" in section.text[0]


@pytest.fixture(scope="module")
def mapped(audited):
    """The step, after checks of the maps that they pass."""
    checks = {
        "areas": np.zeros((1, 4)),
        "grids": np.array([0.5, 0.95, 0.9]),
        "correlations": np.array([0.1]),
        "unstable": np.array([0.1]),
    }
    audited.found["maps"] = checks
    return audited, *done(STRATEGIES_STEP, audited)


def test_slices_by_maps_are_those_errors_too(mapped):
    _, lines, section = mapped
    assert lines
    assert all(line.name.endswith("(by maps)") and line.value < 0.2 for line in lines)
    assert not [line for line in lines if "do not follow" in line.words]
    assert [row[0] for row in section.table] == ["cat", "dog"]
    assert any(strip.title.startswith("Slice ") for strip in section.strips)
    table = [dict(zip(section.header, row, strict=True)) for row in section.table]
    assert all(
        row["precision, by maps"] == row["precision, without maps"] == "1.00" for row in table
    )
    assert "precision for rare images, by maps" not in section.header  # no bias label


def test_maps_that_are_not_believed_are_not_drawn(mapped, monkeypatch):
    audited = mapped[0]
    arrays = audited.found[STRATEGIES] | {"silhouette": np.ones(2)}
    monkeypatch.setitem(audited.found, STRATEGIES, arrays)
    drawn = STRATEGIES_STEP.section(audited)
    low = audited.found["maps"] | {"grids": np.array([0.5, 0.89, 0.9])}
    monkeypatch.setitem(audited.found, "maps", low)
    lines, section = STRATEGIES_STEP.lines(audited), STRATEGIES_STEP.section(audited)
    assert all(line.words.endswith("; these maps do not follow the model") for line in lines)
    assert "These maps do not follow the model" in section.text[0]
    clusters = [
        [strip for strip in one.strips if "cluster" in strip.title] for one in (drawn, section)
    ]
    assert clusters[0]
    assert not clusters[1]


def test_slices_of_maps_that_cover_everything_are_the_plain_ones(audited, monkeypatch):
    monkeypatch.setattr(
        strategies_step,
        "decided_maps",
        lambda model, pictures, decided: np.ones((len(decided), 8, 8), np.float32),
    )
    arrays = STRATEGIES_STEP.compute(audited)
    assert (arrays["weights"] == arrays["plain weights"]).all()


def test_slices_by_maps_see_what_the_model_looked_at(mapped, monkeypatch):
    """Black pictures are all alike, so that slices of them hold errors by chance."""
    audited = mapped[0]
    monkeypatch.setattr(strategies_step, "looked_at", lambda pictures, maps: 0 * pictures)
    monkeypatch.setitem(audited.found, STRATEGIES, STRATEGIES_STEP.compute(audited))
    section = STRATEGIES_STEP.section(audited)
    for row in (dict(zip(section.header, row, strict=True)) for row in section.table):
        assert float(row["precision, by maps"]) < 0.8
        assert row["precision, without maps"] == "1.00"


def test_bias_labels_score_slices_by_their_rare_images(mapped):
    """The labels say red, and the model reads it: the rare images are its errors."""
    audited = mapped[0]
    bias = torch.from_numpy(audited.model.decided(audited.pictures))
    labelled = replace(audited, examples=replace(audited.examples, bias=bias))
    section = STRATEGIES_STEP.section(labelled)
    for row in (dict(zip(section.header, row, strict=True)) for row in section.table):
        assert row["precision for rare images, by maps"] == row["precision, by maps"]


def test_maps_of_the_decided_class_lie_on_the_surroundings(audited):
    shown = audited.pictures[:20]
    decided = audited.model.probabilities(shown).argmax(axis=1)
    maps = decided_maps(audited.model, shown, decided)
    inside = OBJECT[2::4, 2::4]
    assert maps.shape == (20, 8, 8)
    assert maps[:, ~inside].mean() > maps[:, inside].mean()


def test_a_model_without_maps_and_data_alone_have_no_strategies(audited):
    assert STRATEGIES_STEP.unavailable(replace(audited, model=None)) == "no run"
    few = made_run(background_reader(), rows=60, masks=False)
    assert "fewer than 40" in STRATEGIES_STEP.unavailable(few)
