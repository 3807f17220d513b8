"""The steps of rows and slices on a made set whose minority has right labels.

The tint of a picture follows its class in 95 % of the training images, and in half of the
validation images. A dot of another brightness tells the class always, but weakly.
"""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from debias.audits.cues.groups import PROPOSALS
from debias.audits.cues.ladder import CUES, measure
from debias.audits.cues.ladder_page import LADDER
from debias.audits.model import AuditedModel
from debias.audits.rows.diversity_step import DIVERSITY_STEP
from debias.audits.rows.duplicates_step import DUPLICATES_STEP
from debias.audits.rows.labels_step import LABELS, LABELS_STEP, SUSPECTS_FILE
from debias.audits.rows.splits_step import SPLITS_STEP
from debias.audits.rows.whole_images import held_out_probabilities
from debias.audits.slices.slices_step import SLICES_FILE, SLICES_STEP
from tests.audits.cues.made_audits import made_audit, noise
from tests.audits.made_pictures import smooth_noise
from tests.audits.rows.made_rows import audited_rows

TRAIN, VAL = 200, 160


@pytest.fixture(scope="module")
def minority():
    """The audit, and which of its images are against the tint of their class."""
    rng = np.random.default_rng(0)
    count = TRAIN + VAL
    target = np.arange(count) % 2
    split = np.where(np.arange(count) < TRAIN, 0, 1)
    against = np.zeros(count, bool)
    against[:10] = True
    against[TRAIN : TRAIN + VAL // 2] = True
    pictures = np.stack([smooth_noise(rng, 24) for _ in range(count)]).astype(int)
    pictures[..., 0] += 45 * (target ^ against)[:, None, None]
    pictures[:, 9:15, 9:15] += 8 * target[:, None, None, None]
    audited = audited_rows(pictures.clip(0, 255).astype(np.uint8), target, split)
    audited.found["duplicates"] = DUPLICATES_STEP.compute(audited)
    audited.found[CUES] = measure(audited)
    for step in (PROPOSALS, SLICES_STEP, LABELS_STEP, SPLITS_STEP, DIVERSITY_STEP):
        assert step.unavailable(audited) == ""
        audited.found[step.name] = step.compute(audited)
    return audited, against


def listed(path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_suspects_of_a_minority_are_a_warning(minority, tmp_path):
    audited, against = minority
    (line,) = LABELS_STEP.lines(audited)
    assert line.strength == "warning"
    assert "do not drop them" in line.words
    assert "against the" in line.words or "slice" in line.words
    LABELS_STEP.write(audited, tmp_path)
    suspects = listed(tmp_path / SUSPECTS_FILE)
    assert len(suspects) == line.images
    rows = [int(one["path"].partition(".")[0]) for one in suspects]
    assert against[rows[:40]].mean() > 0.8  # least probable first
    assert against[rows].sum() > 0.8 * against.sum()
    assert all(one["target"] != one["suggested"] for one in suspects)
    assert sum(one["slice"] != "" for one in suspects) > 0.8 * len(suspects)
    shares = [float(one["probability"]) for one in suspects]
    assert shares == sorted(shares)


def test_a_class_without_training_images_is_no_suspect_and_no_chance():
    """Pictures are blue, red or green, but no training picture is green. Two labels are wrong."""
    target = np.r_[np.arange(60) % 2, np.arange(60) % 3]
    shown, wrong = target.copy(), [60, 61]
    shown[wrong] = 1 - target[wrong]
    pictures = noise(120, 0, side=24) // 2
    pictures[np.arange(120), ..., 2 - 2 * (shown == 1) - (shown == 2)] += 60
    audited = made_audit(pictures, target, split=np.repeat([0, 1], 60))
    audited.found[CUES] = measure(audited)
    assert "(chance 50)" in LADDER[-1].lines(audited)[0].words
    found = LABELS_STEP.compute(audited)
    assert found["auroc"][0] > 0.95
    assert {*wrong} <= {*found["suspects"].tolist()}
    assert 2 not in target[found["suspects"]]


def test_many_suspects_are_doubts_of_the_probe_and_a_run_knows_labels_by_heart(minority):
    audited, _ = minority
    found = audited.found[LABELS] | {"suspects": np.arange(0, len(audited.rows), 2)}
    found["suggested"] = 1 - audited.target
    many = replace(audited, found=audited.found | {LABELS: found})
    (line,) = LABELS_STEP.lines(many)
    assert line.strength == "some"
    assert "doubts right labels too" in line.words
    of_run = replace(many, encoder=AuditedModel(None, run=Path("run")))
    assert any("learned wrong ones too" in text for text in LABELS_STEP.section(of_run).text)
    assert not any("learned wrong ones too" in text for text in LABELS_STEP.section(many).text)


def test_the_copies_of_training_images_in_validation_are_judged_as_held_out_ones():
    """Noise with random classes: a probe that had learned from the copies would know them."""
    rng = np.random.default_rng(3)
    pictures = np.stack([smooth_noise(rng, 24) for _ in range(60)]).repeat(2, axis=0)
    target = rng.integers(2, size=60).repeat(2)
    audited = audited_rows(pictures, target, np.arange(120) % 2)
    audited.found["duplicates"] = DUPLICATES_STEP.compute(audited)
    audited.found[CUES] = measure(audited)
    train, val = np.split(held_out_probabilities(audited), 2)
    np.testing.assert_allclose(val, train, atol=1e-6)
    audited.found.pop("duplicates")
    assert np.abs(np.split(held_out_probabilities(audited), 2)[1] - train).max() > 0.5


def test_the_page_shows_the_suspects_with_both_labels(minority):
    audited, _ = minority
    section = LABELS_STEP.section(audited)
    (strip,) = section.strips
    assert len(strip.rows) == len(strip.captions) == 24
    assert set(strip.captions) == {"given cat, looks like dog", "given dog, looks like cat"}
    assert any("may well be right" in sentence for sentence in section.text)


def test_slices_are_the_images_on_which_the_stand_in_errs(minority, tmp_path):
    audited, against = minority
    lines = SLICES_STEP.lines(audited)
    assert {line.strength for line in lines} == {"strong"}
    assert len(lines) >= 2
    for line in lines:
        assert line.value < 0.3
        assert line.chance > 0.6
        assert against[list(line.rows)].all()
    SLICES_STEP.write(audited, tmp_path)
    written = listed(tmp_path / SLICES_FILE)
    assert {one["slice"] for one in written} == {line.name for line in lines}
    sure = [one for one in written if float(one["weight"]) > 0.9]
    assert np.mean([against[int(one["path"].partition(".")[0])] for one in sure]) > 0.8
    assert len(SLICES_STEP.section(audited).strips) == len(lines)


def test_slices_are_judged_on_images_on_which_they_were_not_found(minority):
    audited, _ = minority
    found = audited.found["slices"]
    judged = found["judged"]
    assert judged.sum() == (~judged).sum() == VAL / 2
    assert (audited.split[found["rows"]] == 1).all()
    for line in SLICES_STEP.lines(audited):
        assert line.images <= judged.sum()


def test_splits_are_compared_inside_the_classes(minority):
    audited, _ = minority
    assert [bar.name for bar in SPLITS_STEP.section(audited).bars] == [
        "train and val, inside the classes",
        "train and val, inside cat",
        "train and val, inside dog",
    ]


def test_a_brighter_validation_split_is_named():
    rng = np.random.default_rng(2)
    split = np.repeat([0, 1], 80)
    pictures = np.stack([smooth_noise(rng, 24) // 2 for _ in range(160)])
    pictures += (60 * split).astype(np.uint8)[:, None, None, None]
    audited = audited_rows(pictures, np.arange(160) % 2, split)
    audited.found["duplicates"] = DUPLICATES_STEP.compute(audited)
    audited.found["splits"] = SPLITS_STEP.compute(audited)
    (line,) = SPLITS_STEP.lines(audited)
    assert (line.name, line.strength) == ("train and val", "strong")
    assert line.low <= line.value <= line.high


def test_diversity_has_one_row_per_class(minority):
    audited, _ = minority
    table = DIVERSITY_STEP.section(audited).table
    assert [row[:2] for row in table] == [("cat", "100"), ("dog", "100")]
    assert all(1 < float(row[2]) < 100 for row in table)
    assert [row[4] for row in table] == ["–", "–"]  # there is no test split


def test_ten_images_have_no_dimension():
    audited = audited_rows(noise(10, 0, side=24), np.arange(10) % 2, np.zeros(10, np.int64))
    audited.found["diversity"] = DIVERSITY_STEP.compute(audited)
    section = DIVERSITY_STEP.section(audited)
    assert "All images together have dimension –. Labels" in section.text[-1]
    assert [row[3] for row in section.table] == ["–", "–"]


def test_a_set_without_a_cue_has_no_finding():
    """Noise: the probe is at chance, and its errors say nothing."""
    rng = np.random.default_rng(1)
    pictures = np.stack([smooth_noise(rng, 24) for _ in range(300)])
    audited = audited_rows(pictures, np.arange(300) % 2, (np.arange(300) >= 120).astype(int))
    audited.found["duplicates"] = DUPLICATES_STEP.compute(audited)
    audited.found[CUES] = measure(audited)
    for step in (PROPOSALS, SLICES_STEP, LABELS_STEP, SPLITS_STEP):
        audited.found[step.name] = step.compute(audited)
    steps = (DUPLICATES_STEP, SLICES_STEP, LABELS_STEP, SPLITS_STEP)
    assert [[line.strength for line in step.lines(audited)] for step in steps] == [
        ["none found"]
    ] * 4
    assert LABELS_STEP.section(audited) is SLICES_STEP.section(audited) is None
