"""Rows without a picture or a class: left out where the user says so, and counted by split."""

from pathlib import Path

import pytest

from debias.data.examples import Examples
from debias.data.sets.table import table
from debias.data.tables.rules import RowRules
from debias.errors import InputError

ROWS = (
    *("a.png,cat,day,train", "b.png,dog,night,train", "c.png,cow,day,train", "d.png,,day,train"),
    *("e.png,cat,day,val", "f.png,cat,day,test", "g.png,NA,day,test"),
)


def read(folder: Path, *rows: str, absent: str = "", **rules: object) -> Examples:
    """A table of these rows; every picture but those of ``absent`` is an empty file."""
    (folder / "t.csv").write_text(
        "\n".join(["path,target,bias,split,mask", *(f"{r},{r[0]}_mask.png" for r in rows)])
    )
    for row in rows:
        if row[0] not in absent:
            (folder / row[:5]).touch()
    return table(
        file=str(folder / "t.csv"), mask="mask", rules=RowRules(missing="leave_out", **rules)
    )


def test_rows_without_a_class_or_a_picture(tmp_path, capsys):
    """Masks, labels and splits stay with their pictures, and classes keep their numbers."""
    found = read(tmp_path, *ROWS, "h.png,cow,day,test", absent="h")
    assert found.images == ("a.png", "b.png", "c.png", "e.png", "f.png")
    assert found.masks == tuple(f"{name[0]}_mask.png" for name in found.images)
    assert found.groups.target_names == ("cat", "cow", "dog")
    assert found.target.tolist() == [0, 2, 1, 0, 0]
    assert found.split.tolist() == [0, 0, 0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(
        "rows without a class are left out: train 1 of 4, val 0 of 1, test 1 of 3"
    )
    assert lines[1].endswith(
        "rows without a picture are left out: train 0 of 3, val 0 of 1, test 1 of 2"
    )


def test_nothing_is_said_of_whole_data(tmp_path, capsys):
    read(tmp_path, *(row for row in ROWS if row[0] not in "dg"))
    assert capsys.readouterr().err == ""


def test_a_split_or_class_that_vanishes_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"none of 1 rows of the split val has a picture: correct"):
        read(tmp_path, *ROWS, absent="e")
    (tmp_path / "b.png").unlink()
    with pytest.raises(InputError, match="no row of dog has a picture"):
        read(tmp_path, *ROWS, absent="b")
    with pytest.raises(InputError, match=r"none of 2 rows of the split test has a class: draw"):
        read(tmp_path, *ROWS[:-2], "f.png,,day,test", "g.png,,day,test")


def test_splits_are_drawn_of_the_rows_that_are_left(tmp_path, capsys):
    """A test split without classes does not matter then."""
    rows = [f"{letter}.png,{'cat' if letter < 'e' else 'dog'},day,train" for letter in "abcdefgh"]
    found = read(tmp_path, *rows, "i.png,,day,test", absent="a", shares=[0.4, 0.3, 0.3])
    assert sorted(found.images) == [f"{letter}.png" for letter in "bcdefgh"]
    assert sorted(set(found.split[:3].tolist())) == [0, 1, 2]
    assert capsys.readouterr().err.count("are left out: all 1 of ") == 2


def test_another_value_is_an_error():
    with pytest.raises(
        InputError, match=r"data\.missing must be one of refuse, leave_out; got 'x'"
    ):
        RowRules(missing="x")
