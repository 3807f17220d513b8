"""Words for slices, from captions of the table or from measured properties."""

from dataclasses import replace

import numpy as np
import pytest

from debias.audits.slices.describing import described_slice, read_captions
from tests.audits.rows.made_rows import audited_rows

TARGET = np.repeat([0, 1], 20)
#: The first six images of the first class are the slice.
WEIGHT = np.where(np.arange(40) < 6, 0.9, 0.1)


@pytest.fixture
def audited():
    return audited_rows(np.zeros((40, 4, 4, 3), np.uint8), TARGET, np.zeros(40, np.int64))


def captioned(audited, folder, text):
    source = folder / "pets.csv"
    source.write_text(text)
    return replace(audited, examples=replace(audited.examples, source=source))


def said(audited, target: int = 0) -> str:
    return described_slice(audited, np.arange(40), WEIGHT, target)


def test_words_of_captions_come_first(audited, tmp_path):
    lines = [
        f"{name},{'a cat on a sofa' if row < 6 else 'a cat outside'}"
        for row, name in enumerate(audited.examples.images)
    ]
    told = captioned(audited, tmp_path, "\n".join(["file,caption", *lines]))
    assert said(told) == "; words: sofa"


def test_tables_whose_lines_are_not_the_rows_have_no_captions(audited, tmp_path):
    names = audited.examples.images
    fewer = captioned(audited, tmp_path, "file,tags\n" + "".join(f"{n},x\n" for n in names[1:]))
    assert read_captions(fewer.examples) == ()
    (tmp_path / "b").mkdir()
    other = "file,tags\n" + "".join(f"{n},x\n" for n in names[::-1])
    assert read_captions(captioned(audited, tmp_path / "b", other).examples) == ()
    assert read_captions(audited.examples) == ()


def test_without_captions_the_properties_that_differ_most_are_named(audited):
    values = np.stack([np.where(np.arange(40) < 6, 0.2, 0.5), np.arange(40) % 3], axis=1)
    audited.found["pixels"] = {
        "seen names": np.array(["brightness", "other"]),
        "seen numbers": values,
    }
    assert said(audited) == "; brightness 0.2 against 0.5"
    assert said(audited, target=1) == ""  # no image of the slice is of this class
