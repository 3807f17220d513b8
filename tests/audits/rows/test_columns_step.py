"""Columns of the table that go with the class."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from debias.audits.rows.columns_step import COLUMNS_STEP, TableColumn, column_fits, other_columns
from debias.types import Attribute, Groups
from tests.audits.rows.made_rows import audited_rows

TARGET = np.arange(200) % 2
#: 90 of 100 dogs and 10 of 100 cats are at home; the age is that of nobody.
HOME = np.where(np.arange(200) // 2 % 10 == 0, 1 - TARGET, TARGET)
AGE = np.arange(200) // 2 % 4


@pytest.fixture
def audited(tmp_path):
    made = audited_rows(np.zeros((200, 2, 2, 3), np.uint8), TARGET, np.zeros(200, np.int64))
    source = tmp_path / "pets.csv"
    columns = zip(made.examples.images, TARGET, HOME, AGE, strict=True)
    lines = [
        f"{name},{'ab'[one]},{'yes' if home else ''},{age}" for name, one, home, age in columns
    ]
    source.write_text("\n".join(["file,kind,home,age", *lines]))
    return replace(made, examples=replace(made.examples, source=source))


def test_the_column_that_tells_the_class_is_a_line(audited):
    """The paths, and the column of the class itself, are none."""
    assert [one.name for one in other_columns(audited)] == ["home", "age"]
    (line,) = COLUMNS_STEP.lines(audited)
    assert (line.kind, line.strength) == ("labels", "strong")
    assert line.value == pytest.approx(0.9)
    assert {line.name, line.words} <= {
        "home = yes",
        "home = empty",
        "90 % of dog, 10 % of the others",
        "90 % of cat, 10 % of the others",
    }


def test_the_best_value_of_each_column_is_that_by_hand():
    """All 8 of class 0 and 1 of 8 of class 2 have b. There are 5 values and 2 classes."""
    target = np.repeat([0, 2], 8)
    columns = [
        TableColumn("even", ("x", "y"), np.arange(16) % 2),
        TableColumn("tag", ("a", "b", "c"), np.repeat([1, 0, 2], [9, 4, 3])),
    ]
    tag, even = column_fits(columns, target)
    assert (tag.name, tag.target, tag.images) == ("tag = b", 0, 9)
    assert (tag.inside, tag.outside) == (1, 1 / 8)
    # of 11,440 choices of 9 images, 8 have all of class 0, and 8 have all of class 2
    assert tag.p_value == pytest.approx(5 * 2 * 16 / 11_440)
    assert (even.auroc, even.p_value) == (0.5, 1)


def test_paths_of_few_images_are_no_column(audited):
    few = {name: getattr(audited, name)[:10] for name in ("rows", "target", "split")}
    assert [one.name for one in other_columns(replace(audited, **few))] == ["home", "age"]


def test_a_table_that_has_changed_is_read_again(audited):
    assert [one.name for one in other_columns(audited)] == ["home", "age"]
    source = audited.examples.source
    source.write_text(source.read_text().replace("home", "place"))
    assert [one.name for one in other_columns(audited)] == ["place", "age"]


def test_pairs_are_those_that_occur_together_most_and_least(audited):
    section = COLUMNS_STEP.section(audited)
    assert [bar.name.partition(" ")[0] for bar in section.bars] == ["home", "age"]
    assert section.bars[1].value < 0.55
    first, last = section.table[0], section.table[-1]
    # 90 of 200, where 100 x 100 / 200 = 50 are independent: 1.8 times, and 0.45 - 0.25
    assert first[2:] == ("90", "1.80", "0.200")
    assert last[2:] == ("10", "0.20", "-0.200")
    assert all(row[0].partition(" ")[0] != row[1].partition(" ")[0] for row in section.table)


def test_columns_of_the_bias_labels_and_of_no_table_are_left_out(audited, tmp_path):
    home = replace(audited.examples, bias=torch.from_numpy(1 - HOME))
    assert [one.name for one in other_columns(replace(audited, examples=home))] == ["age"]
    attributes = (Attribute("home", ("no", "yes")), Attribute("age", ("0", "1", "2", "3")))
    both = Groups.product(("cat", "dog"), attributes)
    bias = both.combine(torch.from_numpy(np.stack([1 - HOME, AGE], axis=1)))
    several = replace(audited.examples, groups=both, bias=bias)
    assert other_columns(replace(audited, examples=several)) == []
    unknown = torch.where(torch.arange(200) % 3 == 0, -1, bias)
    partly = replace(several, bias=unknown)
    assert other_columns(replace(audited, examples=partly)) == []
    tree = replace(audited, examples=replace(audited.examples, source=tmp_path))
    assert COLUMNS_STEP.section(tree) is None
    assert COLUMNS_STEP.lines(tree) == []
