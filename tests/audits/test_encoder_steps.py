"""The steps that test an encoder, on a network of two features."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from debias.audits.audit import AuditOptions
from debias.audits.encoders.stimuli_step import STIMULUS_STEP
from debias.audits.encoders.traces_step import FAMILIES, TRACE_STEP
from debias.audits.steps import Audited, Step
from debias.errors import InputError
from tests.audits.made_models import SIDE, background_reader, made_run


def done(step: Step, audited: Audited):
    assert step.unavailable(audited) == ""
    audited.found[step.name] = step.compute(audited)
    return list(step.lines(audited)), step.section(audited)


@pytest.fixture
def stimuli(tmp_path):
    """X and A are red, Y and B are blue, which the reader of red tells apart."""
    for side, red in (("X", 200), ("Y", 60), ("A", 220), ("B", 40)):
        folder = tmp_path / "given" / "colours" / side
        folder.mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (SIDE, SIDE), (red + number, 90, 90)).save(folder / f"{number}.png")
    return tmp_path / "given"


def test_a_folder_of_stimuli_is_a_table_and_a_file(stimuli, tmp_path):
    audited = replace(made_run(background_reader()), stimuli=stimuli)
    _, section = done(STIMULUS_STEP, audited)
    (row,) = section.table
    assert row[0] == "colours"
    assert float(row[1]) > 1.5
    (effect,) = section.effects
    assert effect.name == "colours"
    assert effect.low <= effect.value <= effect.high <= 2
    assert row[2:] == ("0.014", "0.014", "4, 4, 4, 4")  # 1 / 70
    STIMULUS_STEP.write(audited, tmp_path)
    with (tmp_path / "associations.csv").open() as file:
        (written,) = csv.DictReader(file)
    assert written["test"] == "colours"
    assert float(written["low"]) == pytest.approx(effect.low, rel=1e-4)
    assert float(written["p"]) == pytest.approx(1 / 70, rel=1e-4)


def test_stimuli_need_a_folder_and_an_encoder(stimuli):
    audited = made_run(background_reader())
    assert STIMULUS_STEP.unavailable(audited) == "no stimuli=FOLDER"
    alone = replace(audited, stimuli=stimuli, model=None)
    for step in (STIMULUS_STEP, TRACE_STEP):
        assert step.on_request
        assert step.unavailable(alone) == "no run, and encoder=none"


def test_stimuli_are_checked_before_any_work(tmp_path):
    with pytest.raises(InputError, match="has no folder of a test"):
        AuditOptions(stimuli=str(tmp_path / "absent")).check()


def test_an_encoder_of_one_colour_does_not_see_traces():
    audited = made_run(background_reader(), rows=60)
    lines, section = done(TRACE_STEP, audited)
    assert [row[0] for row in section.table] == list(FAMILIES)
    assert not [line for line in lines if line.strength == "strong"]
    assert (np.abs(audited.found["traces"]["numbers"]) <= 1).all()
