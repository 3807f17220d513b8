"""Made sets with a known answer: the planted cue comes first, and nothing is found in noise."""

from dataclasses import replace

import numpy as np
import pytest

from debias.audits.cues.ladder import judged_folds, measured_cues, rung_probe
from debias.audits.cues.ladder_page import LADDER
from debias.audits.files.properties import PROPERTIES
from debias.audits.rows.duplicates_step import DUPLICATES, SETS

from .made_audits import SIDE, agreeing, climbed, made_audit, noise, roughened, tinted

TARGET = np.arange(120) % 2


def discs(rows: int, seed: int):
    """A disc of radius 8 at a random place in each picture."""
    row, column = np.indices((SIDE, SIDE))
    places = np.random.default_rng([seed, 3]).integers(12, SIDE - 12, (rows, 2))
    return np.stack([(row - y) ** 2 + (column - x) ** 2 <= 64 for y, x in places])


def test_a_red_tint_is_the_mean_colour():
    first, *others = climbed(made_audit(tinted(noise(120, 0), TARGET, 30), TARGET))
    assert first.name == "mean_colour"
    assert first.strength in ("strong", "some")
    assert {cue.explained_by for cue in others if cue.name == "colours"} <= {"mean_colour", ""}


def test_a_white_square_in_a_corner_is_found_in_the_corners():
    pictures, places = noise(120, 1), np.random.default_rng(1).integers(8, 34, (120, 2))
    for picture, (top, left) in zip(pictures, places, strict=True):
        picture[top : top + 6, left : left + 6] = 255  # a square somewhere is no cue
    pictures[TARGET == 1] = noise(60, 2)
    pictures[TARGET == 1, :6, -6:] = 255
    first = climbed(made_audit(pictures, TARGET))[0]
    assert first.name == "corners"
    assert first.strength == "strong"
    assert first.accuracy > 0.95


def test_a_texture_of_the_background_is_found_around_the_masks():
    """The object has no texture, so the gradient of the surroundings tells more than the whole."""
    masks = discs(120, 2)
    rough = roughened(noise(120, 2), agreeing(TARGET, 0.95, 0), 14)
    pictures = np.where(masks[..., None], 120, rough).astype(np.uint8)
    cues = climbed(made_audit(pictures, TARGET, masks=masks))
    assert cues[0].name in ("background_gradient", "gradient")
    by_name = {cue.name: cue for cue in cues}
    assert by_name["background_gradient"].strength == "strong"


def test_two_cues_at_once_are_both_in_the_top_two():
    """They agree with the class in 90 and 85 %, independently, so neither explains the other."""
    target = np.arange(300) % 2
    pictures = roughened(noise(300, 3), agreeing(target, 0.9, 1), 16)
    pictures = tinted(pictures, agreeing(target, 0.85, 2), 60)
    cues = climbed(made_audit(pictures, target))
    colour = {"mean_colour", "colours", "layout", "corners"}
    top = [cue.name for cue in cues[:2]]
    assert "gradient" in top
    assert colour & set(top)


def test_a_by_product_is_explained_by_its_cue():
    """The layout is red only since the whole picture is."""
    target = np.arange(300) % 2
    audited = made_audit(tinted(noise(300, 4), agreeing(target, 0.9, 1), 90), target)
    by_name = {cue.name: cue for cue in climbed(audited)}
    assert by_name["layout"].explained_by == "mean_colour"
    assert by_name["layout"].auroc.value > 0.75
    assert by_name["layout"].inside < 0.6
    assert not by_name["mean_colour"].explained_by


def test_nothing_is_found_in_noise():
    """20 of 20 seeds; the p-values are adjusted for the number of cues."""
    for seed in range(20):
        cues = climbed(made_audit(noise(50, 100 + seed, side=24), TARGET[:50]))
        assert {cue.strength for cue in cues} == {"none found"}, seed


def test_shuffled_targets_lose_the_cue():
    target = np.random.default_rng(0).permutation(TARGET)
    cues = climbed(made_audit(tinted(noise(120, 0), TARGET, 60), target))
    assert {cue.strength for cue in cues} == {"none found"}


def test_lines_say_what_is_offered_and_the_section_shows_it():
    audited = made_audit(tinted(noise(120, 0), TARGET, 60), TARGET)
    climbed(audited)
    step = LADDER[-1]
    line = step.lines(audited)[0]
    assert (line.kind, line.name, line.chance, line.measure) == (
        "offered",
        "mean colour",
        0.5,
        "AUROC",
    )
    assert "(chance 50)" in line.words
    section = step.section(audited)
    assert section is not None
    assert section.bars[0].name == "statistics"  # the whole image first
    assert section.table[1][0] == section.bars[1].name
    red, other = (
        np.mean([audited.pictures[row][..., 0].mean() for row in strip.rows])
        for strip in (section.strips[1], section.strips[0])
    )
    assert red > other + 60
    left = section.strips[-1]
    assert len(left.pictures) == len(measured_cues(audited)) == len(left.captions)


def test_noise_has_one_line():
    audited = made_audit(noise(60, 5, side=24), TARGET[:60])
    climbed(audited)
    lines = LADDER[-1].lines(audited)
    assert [line.strength for line in lines] == ["none found"]


def test_a_duplicate_never_teaches_the_probe_its_twin():
    """Random targets, every picture twice: told only if the twin may be in another fold."""
    target = np.repeat(np.random.default_rng(0).permutation(np.arange(40) % 2), 2)
    pictures = np.repeat(noise(40, 6, side=24), 2, axis=0)
    alone, apart = made_audit(pictures, target), made_audit(pictures, target)
    apart.found[DUPLICATES] = {SETS: np.repeat(np.arange(40), 2)}
    by_name = [{cue.name: cue for cue in climbed(one)} for one in (alone, apart)]
    assert by_name[0]["layout"].auroc.value > 0.8
    assert by_name[1]["layout"].auroc.value < 0.7
    fold = judged_folds(apart)
    assert np.array_equal(fold[::2], fold[1::2])


def test_many_classes_name_the_best_told():
    """22 classes of 6 images; the third is red."""
    target = np.repeat(np.arange(22), 6)
    audited = made_audit(tinted(noise(132, 7, side=24), (target == 2).astype(int), 110), target)
    climbed(audited)
    section = LADDER[-1].section(audited)
    assert section is not None
    named = section.text[-1]
    assert named.startswith("The classes that one cue tells best, with its AUROC: c by ")
    assert named.count("(") == 10


@pytest.mark.parametrize("masks", [False, True])
def test_rungs_that_cannot_be_measured_are_left_out(masks):
    given = discs(60, 0) if masks else None
    names = {cue.name for cue in climbed(made_audit(noise(60, 8), TARGET[:60], masks=given))}
    assert ("background_gradient" in names) == masks
    assert "background" not in names  # it needs an encoder


def test_images_of_one_patient_are_no_finding_and_no_error():
    """A probe of the other folds would have no image to learn from."""
    made = made_audit(noise(20, 0), TARGET[:20])
    steps = (PROPERTIES, LADDER[-1])
    for patients, reason in (
        ("a" * 20, "all images are copies, or of one data.split_by value"),
        ("a" * 10 + "b" * 10, ""),
    ):
        given = replace(made, examples=replace(made.examples, units=tuple(patients)))
        assert [step.unavailable(given) for step in steps] == [reason, reason]
        assert bool(rung_probe("colours", given)) == (not reason)
