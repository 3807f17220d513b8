"""Pictures that are saved again, and a model that reads what JPEG removes."""

from dataclasses import replace

import numpy as np
import pytest

from debias.audits.leaning.resaving_step import RESAVING_STEP, right_at_worst
from tests.audits.made_models import SIDE, MadeModel, background_reader, made_run
from tests.audits.rows.made_rows import Held


class GrainReader(MadeModel):
    """Says "dog" if neighbouring pixels differ, as by the grain that JPEG 75 removes."""

    def decided(self, pictures):
        """Mean difference of neighbours."""
        return (np.abs(np.diff(pictures.astype(int), axis=2)).mean(axis=(1, 2, 3)) > 1.5).astype(
            int
        )


def saved_again(reads_grain: bool):
    made = made_run(background_reader(), rows=60, masks=False, conflicting=100)
    pictures = np.full((60, SIDE, SIDE, 3), 128)
    grain = np.random.default_rng(0).integers(-3, 4, (60, SIDE, SIDE, 1))
    pictures = (pictures + grain * made.target[:, None, None, None]).astype(np.uint8)
    pictures = pictures if reads_grain else made.pictures
    make = GrainReader if reads_grain else MadeModel
    model = make(background_reader(), pictures, None)
    examples = replace(made.examples, held=Held(pictures))
    audited = replace(made, pictures=pictures, model=model, examples=examples)
    assert RESAVING_STEP.unavailable(audited) == ""
    audited.found["resaving"] = RESAVING_STEP.compute(audited)
    return audited


def test_a_model_that_reads_grain_fails_on_pictures_that_are_saved_again():
    audited = saved_again(reads_grain=True)
    (line,) = RESAVING_STEP.lines(audited)
    assert (line.kind, line.name, line.strength) == ("taken", "JPEG quality", "strong")
    assert line.value == 0.5  # every dog is called a cat
    assert "100 % on the files" in line.words
    assert line.low < line.value < line.high
    section = RESAVING_STEP.section(audited)
    assert [row[1] for row in section.table][::3] == ["50 %", "50 %"]


def test_a_model_of_colours_does_not_follow_the_quality():
    (line,) = RESAVING_STEP.lines(saved_again(reads_grain=False))
    assert line.strength == "none found"
    assert line.value == pytest.approx(0, abs=0.05)


def test_data_alone_are_not_saved_again():
    made = made_run(background_reader(), rows=12)
    assert RESAVING_STEP.unavailable(replace(made, model=None)) == "no run"


def test_the_worst_quality_is_chosen_on_the_other_half():
    """Chosen on the same pictures, the worst of many coins would be far below one half."""
    right = np.random.default_rng(0).random((200, 400)) < 0.5
    target, half = np.arange(400) // 200, np.arange(400) % 2 == 0
    assert right_at_worst(right, target, half).mean() == pytest.approx(0.5, abs=0.08)
    assert right.mean(axis=1).min() < 0.45
