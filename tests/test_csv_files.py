"""The one reader of users' CSV files: which columns, which cells, and which line is wrong."""

import re

import pytest

from debias.csv_files import is_integer, read_csv


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "a.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_all_columns_or_the_wanted_ones(written):
    """Blanks around cells and blank lines are no values; the line of a row is that of the file."""
    path = written('\ufeffpath, target ,note\n\na.jpg, cat ,"x, y"\n\nb.jpg,dog, "z"\n')
    columns = read_csv(path)
    assert columns.cells == {
        "path": ["a.jpg", "b.jpg"],
        "target": ["cat", "dog"],
        "note": ["x, y", "z"],
    }
    assert list(columns.lines) == [3, 5]
    assert read_csv(path, ["target"]).cells == {"target": ["cat", "dog"]}
    assert [*read_csv(path, ["target"], optional=["note", "size"]).cells] == ["target", "note"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has an empty first line: write the names of the columns there"),
        ("\na,b\n", "has an empty first line"),
        ("a;b\n1;2\n", "values must be separated by commas; got the header 'a;b'"),
        ("a\tb\n1\t2\n", "values must be separated by commas"),
        ("a,a\n1,2\n", "has two columns 'a'"),
        ("a,b\n", "has a header and no rows"),
        ("a,b\n1,2\n1\n", "line 3: 1 columns, but the header has 2"),
    ],
)
def test_a_broken_file_is_named(written, text, message):
    with pytest.raises(ValueError, match=rf"a\.csv.*{re.escape(message)}"):
        read_csv(written(text))


@pytest.mark.parametrize("cell", ["0", "007", "+1", "-1", str(2**63 - 1), str(-(2**63))])
def test_integers(cell):
    assert is_integer(cell)


@pytest.mark.parametrize("cell", ["", "+", "20_29", " 1", "1.0", "١", "²", str(2**63), "9" * 5000])
def test_names_that_look_like_integers(cell):
    assert not is_integer(cell)


def test_numbers_and_missing_columns(written):
    columns = read_csv(written("size,name\n1.5,a\n-2e3,b\n"))
    assert columns.numbers("size").tolist() == [1.5, -2000.0]
    with pytest.raises(ValueError, match=r"line 2: name is 'a', but must be a finite number"):
        columns.numbers("name")
    with pytest.raises(ValueError, match="line 2: age is '20_29', but must be a finite number"):
        read_csv(written("age\n20_29\n")).numbers("age")
    with pytest.raises(ValueError, match="no column 'nmae'; did you mean 'name'"):
        columns.column("nmae")
