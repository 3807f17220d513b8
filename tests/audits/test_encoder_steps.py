"""The steps that test an encoder, on a network of two features."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from debias.audits.audit import AuditOptions
from debias.audits.encoders.stimuli_step import STIMULUS_STEP
from debias.audits.encoders.traces_step import FAMILIES, TRACE_STEP
from debias.audits.encoders.variance_step import VARIANCE_STEP, explained_variance
from debias.audits.steps import Audited
from debias.errors import InputError
from tests.audits.made_models import SIDE, background_reader, done, made_run, object_reader


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


def test_sides_of_two_sizes_have_no_p_value_on_the_page(stimuli):
    (stimuli / "colours" / "X" / "0.png").unlink()
    _, section = done(STIMULUS_STEP, replace(made_run(background_reader()), stimuli=stimuli))
    assert section.table[0][2:] == ("–", "–", "3, 4, 4, 4")


def test_stimuli_need_a_folder_and_an_encoder(stimuli):
    audited = made_run(background_reader())
    assert STIMULUS_STEP.unavailable(audited) == "no stimuli=FOLDER"
    alone = replace(audited, stimuli=stimuli, model=None)
    for step in (STIMULUS_STEP, TRACE_STEP):
        assert step.on_request
        assert step.unavailable(alone) == "no run, and encoder=none"


def test_few_images_do_not_show_traces():
    assert TRACE_STEP.unavailable(made_run(background_reader(), rows=19)) == "fewer than 20 images"
    assert TRACE_STEP.unavailable(made_run(background_reader(), rows=20)) == ""


def test_stimuli_are_checked_before_any_work(tmp_path):
    with pytest.raises(InputError, match="has no folder of a test"):
        AuditOptions(stimuli=str(tmp_path / "absent")).check()


def test_an_encoder_of_one_colour_does_not_see_traces():
    audited = made_run(background_reader(), rows=60)
    lines, section = done(TRACE_STEP, audited)
    assert [row[0] for row in section.table] == list(FAMILIES)
    assert not [line for line in lines if line.strength == "strong"]
    assert (np.abs(audited.found["traces"]["numbers"]) <= 1).all()


def proposed(audited: Audited, word) -> Audited:
    """An audit with one proposal of groups, that says these classes."""
    follows = np.array([[1, 0.5, 0.5, 0.4, 0.6, 40]])
    audited.found["groups"] = {
        "cues": np.array(["mean_colour"]),
        "word": word[None],
        "follows": follows,
    }
    return audited


@pytest.mark.parametrize(("reader", "of_class"), [(object_reader, 1), (background_reader, 0)])
def test_features_hold_what_the_model_reads(reader, of_class):
    """Red of the surroundings is the cue, another than the class in one of two pictures."""
    audited = made_run(reader(), conflicting=2)
    red = audited.pictures[:, 5:7, 5:7, 0].mean(axis=(1, 2))
    audited = proposed(audited, (red > 128).astype(np.int64))
    lines, section = done(VARIANCE_STEP, audited)
    assert not lines
    assert [bar.name for bar in section.bars] == ["class", "mean colour"]
    shares = [bar.value for bar in section.bars]
    assert shares[of_class - 1] > 0.6
    assert shares[of_class] < 0.1
    (row,) = audited.found["variance"]["numbers"]
    assert row[2 + (of_class == 1)] > 0.6
    assert row[-2:].tolist() == [1 / 79, 80]
    assert section.table[0][-1] == "80"


def test_shares_of_variance_are_those_by_hand():
    """The check of the dossier: z = 0 0 1 1, and attributes 0 0 1 1 and 0 1 0 1."""
    z, same, crossed = np.array([[0.0], [0], [1], [1]]), np.array([0, 0, 1, 1]), np.arange(4) % 2
    assert explained_variance(z, crossed, same)[:4] == (0, 1, 1, 0)
    assert explained_variance(z, same, same)[:4] == (1, 1, 0, 0)
    unknown = np.array([0, -1, 1, -1])
    assert explained_variance(z, same, unknown)[4:] == (1, 2)


def test_variance_needs_a_run_and_something_beside_the_class():
    audited = made_run(background_reader())
    assert "no proposal" in VARIANCE_STEP.unavailable(audited)
    assert VARIANCE_STEP.unavailable(replace(audited, model=None)) == "no run"
    bias = torch.from_numpy(np.arange(240) // 2 % 2)
    labelled = replace(audited, examples=replace(audited.examples, bias=bias))
    empty = np.zeros((0, 240), np.int64)
    labelled.found["groups"] = {"cues": empty[:, 0], "word": empty, "follows": np.zeros((0, 6))}
    _, section = done(VARIANCE_STEP, labelled)
    assert [row[0] for row in section.table] == ["bias labels"]
