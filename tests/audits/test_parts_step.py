"""The steps of a run, on models whose leaning is known."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from debias.audits.leaning.features_step import RANKING_STEP
from debias.audits.leaning.parts_step import PART_STEP
from debias.audits.steps import Audited
from tests.audits.made_models import (
    RegionReader,
    background_reader,
    done,
    made_run,
    object_reader,
    square,
)


def table(section):
    return {row[0]: row[1:] for row in section.table}


def test_noise_and_exchange_show_a_reader_of_the_background():
    lines, section = done(PART_STEP, made_run(background_reader()))
    (line,) = [line for line in lines if line.name == "surroundings"]
    assert line.value < 0
    parts = table(section)
    assert float(parts["other background"][-1]) > 0.8
    assert float(parts["other foreground"][-1]) == 0
    assert float(parts["grey foreground"][1]) == 0
    assert "-" in section.text[1].partition(":")[2][:3]


def test_a_reader_of_the_object_gives_no_line():
    lines, section = done(PART_STEP, made_run(object_reader()))
    assert lines == []
    parts = table(section)
    assert float(parts["other background"][-1]) == 0
    assert float(parts["other foreground"][-1]) > 0.8
    assert parts["grey foreground"][0] == "50 %"
    half = parts["half of the patches from other classes"][0]
    assert int(half.removesuffix(" %")) < 80


def test_a_model_at_chance_has_no_perceptual_score():
    audited = made_run(object_reader())
    done(PART_STEP, audited)
    found = audited.found["parts"]
    audited.found["parts"] = found | {"plain": np.zeros_like(found["plain"])}
    rows = table(PART_STEP.section(audited))
    assert rows["other colour"][-1] == rows["other background"][-1] == ""


def test_without_masks_only_other_parts_are_changed():
    _, section = done(PART_STEP, made_run(object_reader(), masks=False))
    assert "other colour" in table(section)
    assert "other background" not in table(section)
    assert len(section.text) == 1


def test_a_mark_that_the_model_reads_is_found_and_tried():
    reader = RegionReader(square(0, 4), 2)
    nn.init.constant_(reader.backbone[0].bias[:1], 0.5)
    nn.init.constant_(reader.backbone[0].bias[1:], -0.5)
    lines, section = done(PART_STEP, made_run(reader, mark=True))
    (line,) = [line for line in lines if line.name == "mark of dog"]
    assert line.strength == "strong"
    assert line.value == pytest.approx(1)
    assert table(section)["mark of dog on the others"][:2] == ("0 %", "-100")
    assert "with the mark of dog" in section.strips[0].captions
    # pictures of a model that does not read it do not change
    lines, _ = done(PART_STEP, made_run(object_reader(), mark=True))
    assert not [line for line in lines if line.name.startswith("mark")]


def test_a_mark_of_the_only_held_out_class_is_not_tried():
    audited = made_run(object_reader(), mark=True)
    learning = np.where((audited.split == 2) & (audited.target == 0), 0, audited.split)
    _, section = done(PART_STEP, replace(audited, split=learning))
    assert "mark of dog on the others" not in table(section)
    assert table(section)["other colour"][-1] == ""  # one class has no chance level below 100 %


def test_the_feature_of_the_background_has_a_gap_and_that_of_the_object_has_none():
    lines, section = done(RANKING_STEP, made_run(background_reader(), conflicting=3))
    assert len(lines) == 1
    assert lines[0].value > 0.4
    assert section.strips
    lines, section = done(RANKING_STEP, made_run(object_reader(), conflicting=3))
    assert lines == []
    assert section is None


def test_data_alone_have_no_model_to_ask():
    audited = made_run(object_reader())
    alone = Audited(*[getattr(audited, name) for name in audited.__dataclass_fields__][:10])
    for step in (PART_STEP, RANKING_STEP):
        assert step.unavailable(alone) == "no run"
