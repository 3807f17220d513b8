"""Groups that a cue gives: how much is followed, what is written, and who can train on it."""

import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from debias.audits.cues import proposals as propose
from debias.audits.cues.groups import GROUPS, PROPOSALS, proposals
from debias.audits.cues.ladder import CUES, measure, measured_cues
from debias.audits.cues.ladder_page import LADDER
from debias.audits.cues.probing import Measured
from debias.audits.cues.words import cue_words
from debias.audits.steps import Audited
from debias.data.partition import read_inferred, read_partition
from debias.data.pictures.images import read_mask
from debias.data.sets.drawn_birds import drawn_birds

from .made_audits import made_audit, noise


def test_followed_by_hand():
    """Class 0: 4 of 4 against 1 of 2; class 1: 3 of 4 against 0 of 2: means .875 and .25."""
    target = np.repeat([0, 1], 6)
    word = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0])
    correct = np.array([1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0], bool)
    found = propose.followed(correct, word, target, seed=0)
    assert (found.agreeing, found.disagreeing, found.against) == (0.875, 0.25, 4)
    assert found.difference.value == 0.625
    assert found.difference.low < 0.625 < found.difference.high


def test_classes_without_an_image_against_the_cue_are_left_out():
    target = np.repeat([0, 1], 3)
    found = propose.followed(np.ones(6, bool), target, target, seed=0)
    assert math.isnan(found.difference.value)
    assert found.against == 0
    assert propose.usefulness(found) == -math.inf


def test_two_images_against_a_cue_have_a_wide_interval():
    """Both are wrong; a bootstrap would say that the accuracy of such images is exactly 0."""
    target, word = np.repeat([0, 1], 40), np.repeat([0, 1], [39, 41])
    word[-1] = 0
    found = propose.followed(word == target, word, target, seed=0)
    assert found.difference.value == 1.0
    assert 0.3 < found.difference.low < 0.6
    assert found.difference.high == 1.0


def test_few_images_against_a_cue_make_it_less_useful():
    difference = Measured(0.5, 0.4, 0.6)
    few, many = (propose.Followed(0.9, 0.4, difference, number) for number in (10, 500))
    assert propose.usefulness(few) == pytest.approx(0.08)
    assert propose.usefulness(many) == pytest.approx(0.4)


def test_unknown_bias_labels_are_left_out_of_the_match():
    word, target = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
    assert propose.matched(word, target, np.full(4, -1)) is None
    bias = np.array([0, -1, 1, 0, 0, 1])
    found = propose.matched(np.r_[word, 0, 1], np.r_[target, 0, 1], bias)
    assert found == propose.Match(precision=1.0, recall=1.0, conflicting=1)


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """240 drawn birds, 90 % of the training birds on their own background, audited in memory."""
    root = str(tmp_path_factory.mktemp("birds") / "set")
    examples = drawn_birds(root=root, aligned=0.9, train=240, val=16, test=16, size=64)
    rows = torch.cat([examples.rows(split) for split in ("train", "val")])
    pictures = np.stack([examples.store.read(row) for row in rows.tolist()])
    masks = np.stack(
        [read_mask(examples.mask_root / examples.masks[row], (64, 64)) for row in rows.tolist()]
    )
    return Audited(
        examples,
        rows.numpy(),
        examples.target.numpy()[rows],
        examples.split.numpy()[rows],
        examples.groups.target_names,
        pictures,
        masks > 127,
        0,
        None,
        {},
    )


@pytest.fixture(scope="module")
def proposed(birds):
    birds.found[CUES] = measure(birds)
    birds.found[GROUPS] = PROPOSALS.compute(birds)
    return birds


def test_drawn_birds_are_told_by_the_background_and_the_conflicting_are_found(proposed):
    line = LADDER[-1].lines(proposed)[0]
    assert "background" in line.name or line.name in ("gradient", "mean colour", "colours")
    assert line.strength == "strong"
    best = proposals(proposed)[0]
    assert best.match is not None
    assert best.match.recall >= 0.9
    assert best.match.conflicting == 24
    assert best.follows.agreeing > best.follows.disagreeing + 0.3


def test_the_files_are_accepted_where_groups_are_read(proposed, tmp_path):
    """Every image has a word, also those of the test split, which were not drawn."""
    PROPOSALS.write(proposed, tmp_path)
    examples, best = proposed.examples, proposals(proposed)[0]
    assert (read_inferred(tmp_path / "groups.csv", examples) >= 0).all()
    partition = read_partition(tmp_path / "groups.csv", examples, ["train", "val"])
    assert partition.names == ("0", "1")
    names = {path.name for path in (tmp_path / "groups").iterdir()}
    assert names == {f"{one.cue}.csv" for one in proposals(proposed)}
    assert np.array_equal(read_inferred(tmp_path / best.file, examples).numpy(), best.word)


def test_words_of_other_splits_follow_the_background_too(proposed):
    """The probe of all training images reads the validation birds, half of them conflicting."""
    examples, best = proposed.examples, proposals(proposed)[0]
    for split in ("val", "test"):
        rows = examples.rows(split)
        right = best.word[rows] == examples.bias[rows].numpy()
        assert right.mean() >= 0.8


def test_an_image_without_a_mask_takes_no_masks_from_the_others(proposed):
    cues = [cue for cue in measured_cues(proposed) if cue.name in ("box", "mean_colour")]
    needs = [cue.rung.needs_masks for cue in cues]
    bare = int(proposed.examples.rows("test")[3])
    masks = tuple("" if row == bare else one for row, one in enumerate(proposed.examples.masks))
    lacking = replace(proposed, examples=replace(proposed.examples, masks=masks))
    before, after = cue_words(cues, proposed), cue_words(cues, lacking)
    assert sorted(needs) == [False, True]
    assert [tuple(row) for row in np.argwhere(before != after)] == [(needs.index(True), bare)]
    assert after[needs.index(True), bare] == -1


def test_words_are_read_again_if_a_picture_or_mask_that_was_not_drawn_changes(proposed):
    examples, row = proposed.examples, int(proposed.examples.rows("test")[0])
    states = {PROPOSALS.settings(proposed)}
    assert {PROPOSALS.settings(proposed)} == states
    for path in (examples.root / examples.images[row], examples.mask_root / examples.masks[row]):
        os.utime(path, ns=(0, 0))
        states.add(PROPOSALS.settings(proposed))
    assert len(states) == 3


def test_the_smallest_group_counts_training_images_that_were_not_drawn(proposed):
    best, train = proposals(proposed)[0], proposed.examples.rows("train").numpy()
    target = proposed.examples.target.numpy()
    sizes = np.bincount(2 * target[train] + best.word[train])
    half = np.arange(0, len(proposed.rows), 2)
    drawn = {name: getattr(proposed, name)[half] for name in ("rows", "target", "split")}
    assert proposals(replace(proposed, **drawn))[0].smallest == best.smallest == sizes.min()


def test_the_page_says_what_groups_are(proposed):
    lines = PROPOSALS.lines(proposed)
    assert [line.kind for line in lines] == ["taken", "groups"]
    assert "stand-in" in lines[0].words
    assert "not of people's attributes" in lines[1].words
    section = PROPOSALS.section(proposed)
    assert section is not None
    assert f"has {proposals(proposed)[0].smallest} training images" in section.text[0]
    assert all(len(row) == len(section.header) for row in section.table)
    target = proposed.target[proposed.judged]
    assert {int(proposed.target[row]) for row in section.strips[0].rows} == {0}
    assert len(target) == 240


def test_noise_has_no_proposal(tmp_path):
    audited = made_audit(noise(60, 9, side=24), np.arange(60) % 2)
    audited.found[CUES] = measure(audited)
    audited.found[GROUPS] = PROPOSALS.compute(audited)
    assert proposals(audited) == []
    assert PROPOSALS.lines(audited) == []
    assert PROPOSALS.section(audited) is None
    PROPOSALS.write(audited, tmp_path)
    assert not list(tmp_path.iterdir())
