"""A Parquet table is the CSV table: the same rows, missing values, and mistakes by row."""

import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from debias.data.sets.table import table
from debias.data.tables.derived import DerivedColumns
from debias.errors import InputError

ROWS = {
    "path": ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
    "target": ["dog", "cat", "dog", "cat"],
    "bias": ["snow", None, "grass", "grass"],
    "split": ["train", "valid", "test", "train"],
}


def write(folder, **columns):
    """A table of ``ROWS`` with some other columns; a column that is ``None`` is left out."""
    kept = {name: cells for name, cells in (ROWS | columns).items() if cells is not None}
    parquet.write_table(pa.table(kept), folder / "mine.parquet")
    return str(folder / "mine.parquet")


def test_same_rows_as_csv(tmp_path):
    cells = [ROWS["path"], ROWS["target"], [cell or "" for cell in ROWS["bias"]], ROWS["split"]]
    lines = [",".join(ROWS), *map(",".join, zip(*cells, strict=True)), ""]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    expected = table(file=str(tmp_path / "mine.csv"), aligned=[[0, 0]])
    found = table(file=write(tmp_path), aligned=[[0, 0]])
    assert found.digest() == expected.digest()
    assert found.bias.tolist() == [1, -1, 0, 0]
    assert (found.root, found.groups) == (expected.root, expected.groups)
    assert table(csv=str(tmp_path / "mine.csv")).digest() == table(csv=write(tmp_path)).digest()


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        ([1, 0, 1, 0], [1, 0, 1, 0]),
        ([1, None, 1, 0], [1, -1, 1, 0]),
        (pa.array([1.0, float("nan"), None, 0.0]), [1, -1, -1, 0]),
        (pa.array(["b", "a", None, "b"]).dictionary_encode(), [1, 0, -1, 1]),
        (pa.array(["b", " a", "a ", "b"], pa.large_string()), [1, 0, 0, 1]),
        ([True, False, None, True], [1, 0, -1, 1]),
        ([None] * 4, [-1] * 4),
    ],
)
def test_types_of_columns(tmp_path, bias, expected):
    """Integers, floats of pandas, categories, long text, truth values, and nothing at all."""
    assert table(file=write(tmp_path, bias=bias)).bias.tolist() == expected


def test_mistakes_name_the_row(tmp_path):
    with pytest.raises(
        ValueError, match=r"mine\.parquet, row 3: target is '', which means a missing"
    ):
        table(file=write(tmp_path, target=["dog", "cat", None, "cat"]))
    with pytest.raises(ValueError, match=r"row 2: bias is '0\.5', but must be an integer"):
        table(file=write(tmp_path, bias=[None, 0.5, 1.0, 0.0]))
    with pytest.raises(ValueError, match=r"row 4: bias is 'x', but must be an integer"):
        table(file=write(tmp_path, bias=["0", None, "1", "x"]))


def test_columns_that_are_no_text_do_no_harm_unless_they_are_read(tmp_path):
    """With ``made``, all other columns are read. Byte 255 is no UTF-8."""
    others = {"boxes": [[1, 2]] * 4, "thumbnail": [b"\xff"] * 4}
    made = DerivedColumns(made={"bias": "{target}-{split}"})
    found = table(file=write(tmp_path, **others), derived=made)
    assert found.groups.bias_names == ("cat-train", "cat-valid", "dog-test", "dog-train")


def test_bad_files(tmp_path):
    with pytest.raises(
        InputError, match=r"no column 'target'; did you mean 'targt'.*data\.shares="
    ):
        table(file=write(tmp_path, target=None, targt=ROWS["target"]))
    with pytest.raises(InputError, match=r"column 'path' contains binary, but must be text"):
        table(file=write(tmp_path, path=[b"\xff"] * 4))
    with pytest.raises(InputError, match=r"column 'target' contains list<.*>, but must be text"):
        table(file=write(tmp_path, target=[["dog"]] * 4))
    with pytest.raises(InputError, match=r"has no rows: add one row per image"):
        table(file=write(tmp_path, **{name: pa.array([], pa.string()) for name in ROWS}))
    (tmp_path / "mine.parquet").write_text("path,target,bias,split\n")
    with pytest.raises(InputError, match=r"cannot read .* as Parquet \(.*\): write it again$"):
        table(file=str(tmp_path / "mine.parquet"))
    with pytest.raises(InputError, match=r"no file .*nowhere\.parquet"):
        table(file=str(tmp_path / "nowhere.parquet"))


def test_one_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data needs file: add data\.file=TABLE\.csv or"):
        table()
    with pytest.raises(InputError, match=r"data\.file=a\.csv and data\.csv=b\.csv name two tables"):
        table(file="a.csv", csv="b.csv")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"a Parquet file needs pyarrow: pip install \"debias-vis"):
        table(file=str(tmp_path / "mine.parquet"))
