"""What an audit says of duplicates."""

from dataclasses import replace

import numpy as np

from debias.audits.rows.duplicates_step import DUPLICATES_FILE, DUPLICATES_STEP
from tests.audits.rows.made_rows import audited_rows
from tests.audits.rows.test_duplicates import jpeg, scenes


def looked_at(audited):
    audited.found["duplicates"] = DUPLICATES_STEP.compute(audited)
    return DUPLICATES_STEP.lines(audited), DUPLICATES_STEP.section(audited)


def test_a_leak_and_a_conflict_are_warnings_with_their_images(tmp_path):
    """Image 0 has a copy in the test split, and image 1 a nearly equal one of the other class."""
    picture = scenes(12)
    pictures = np.concatenate([picture, picture[:1], jpeg(picture[1])[None]])
    target, split = np.arange(14) % 2, np.zeros(14, np.int64)
    target[12], target[13], split[12] = target[0], 1 - target[1], 2
    audited = audited_rows(pictures, target, split)
    (leak, conflict, whole), section = looked_at(audited)
    assert (leak.name, leak.strength, leak.images) == ("across splits", "warning", 2)
    assert (conflict.name, conflict.strength, conflict.images) == ("across classes", "warning", 2)
    assert whole.words == "14 images show 12 different ones"
    assert section is not None
    assert [row[1:3] for row in section.table] == [("2", "0"), ("2", "2")]
    DUPLICATES_STEP.write(audited, tmp_path)
    assert (tmp_path / DUPLICATES_FILE).read_text() == (
        "set,path,split,target,exact\n"
        "1,0001.png,train,dog,0\n"
        "1,0013.png,train,cat,0\n"
        "2,0000.png,train,cat,1\n"
        "2,0012.png,test,cat,1\n"
    )


def test_different_images_are_no_finding(tmp_path):
    audited = audited_rows(scenes(12), np.arange(12) % 2, np.zeros(12, np.int64))
    (line,), section = looked_at(audited)
    assert (line.strength, section) == ("none found", None)


def test_images_that_differ_outside_the_crop_are_not_equal():
    """They look equal to the audit, and are duplicates, but their files have other pixels."""
    picture = scenes(3)
    pictures = np.concatenate([picture, picture[:1]])
    whole = np.pad(pictures, ((0, 0), (0, 8), (0, 0), (0, 0)))
    whole[3, -1] = 9
    audited = audited_rows(pictures, np.zeros(4, np.int64), np.zeros(4, np.int64), whole)
    found = DUPLICATES_STEP.compute(audited)
    assert found["set"].tolist() == [0, 1, 2, 0]
    assert not found["exact"].any()


def test_a_mirror_image_is_a_duplicate_if_asked():
    picture = scenes(4)
    pictures = np.concatenate([picture, picture[:1, :, ::-1]])
    audited = audited_rows(pictures, np.arange(5) % 2, np.zeros(5, np.int64))
    sets = [
        DUPLICATES_STEP.compute(replace(audited, mirror=asked))["set"].tolist()
        for asked in (False, True)
    ]
    assert sets == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 0]]
    settings = {DUPLICATES_STEP.settings(replace(audited, mirror=asked)) for asked in (False, True)}
    assert len(settings) == 2
