"""Slices of a run whose model reads the surroundings, with and without its maps."""

from dataclasses import replace

import numpy as np
import pytest

from debias.audits.slices.slices_step import SLICES_STEP
from debias.audits.slices.strategies_step import STRATEGIES_STEP, decided_maps
from tests.audits.made_models import OBJECT, background_reader, made_run
from tests.audits.test_map_steps import surroundings_reader


def done(step, audited):
    assert step.unavailable(audited) == ""
    audited.found[step.name] = step.compute(audited)
    return list(step.lines(audited)), step.section(audited)


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


def test_slices_by_maps_are_those_errors_too(audited):
    lines, section = done(STRATEGIES_STEP, audited)
    assert lines
    assert all(line.name.endswith("(by maps)") and line.value < 0.2 for line in lines)
    assert [row[0] for row in section.table] == ["cat", "dog"]
    assert any(strip.title.startswith("Slice ") for strip in section.strips)


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
