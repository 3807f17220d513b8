"""Columns from parts of others, from joined tables and from templates; one file per split."""

import gzip

import pytest

from debias import components
from debias.errors import InputError

TABLE = (
    "file,who,split\na/1_x.png,p1,train\nb/2_y.png,p2,train\nb/3_y.png,p3,val\na/4_x.png,p2,test\n"
)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data.csv").write_text(TABLE)
    (tmp_path / "people.csv").write_text("id,place\np1,land\np2,water\np2,land\n")
    return tmp_path


def read(root, **options):
    section = {"name": "table", "root": str(root), "file": "{root}/data.csv", **options}
    return components.construct("data", section, {})


RULES = {
    "parts": {"file": "{target}/{number:?}_*"},
    "join": {"people.csv": {"who": "id"}},
    "made": {"path": "pictures/{target}{number}-{row}.png"},
    "bias": "place",
}


def test_later_rules_use_the_columns_of_earlier_ones(root):
    """The first line of p2 counts, and p3 has none."""
    examples = read(root, **RULES)
    assert examples.images == tuple(
        f"pictures/{name}.png" for name in ("a1-0", "b2-1", "b3-2", "a4-3")
    )
    assert [examples.groups.target_names[row] for row in examples.target] == ["a", "b", "b", "a"]
    names = [*examples.groups.bias_names, None]
    assert [names[value] for value in examples.bias] == ["land", "water", None, "water"]


def test_files_of_splits_may_be_compressed(root):
    header = "path,target,bias\n"
    (root / "train.csv.gz").write_bytes(gzip.compress(f"{header}1.png,0,0\n2.png,1,1\n".encode()))
    for split in ("val", "test"):
        (root / f"{split}.csv").write_text(f"{header}{split}.png,1,0\n")
    files = {"train": "{root}/train.csv.gz", "val": "{root}/val.csv", "test": "{root}/test.csv"}
    examples = read(root, file=files)
    assert examples.images == ("1.png", "2.png", "val.png", "test.png")
    assert examples.split.tolist() == [0, 0, 1, 2]
    assert examples.target.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": {"file": "{target}/{number:??}_*"}}, r"line 2: file is 'a/1_x.png', but data"),
        ({"join": {"people.csv": {"who": "place"}}}, "no cell of .*:who is in .*people.csv:place"),
        ({"join": {"people.csv": {}}}, r"must have one pair of columns, as in {subject: id}; got"),
        ({"join": {"person.csv": {"who": "id"}}}, "no file .*person.csv"),
        ({"made": {"path": "{plce}.png"}}, "data.made.path names 'plce', which is no column; did"),
        ({"parts": {"file": "/{target}"}}, "data.parts.file: pattern '/{target}' must be the path"),
        ({"file": {"tst": "{root}/data.csv"}}, "a split of data.file must be one of train, val, "),
        ({"bias": "nowhere"}, "has no column 'nowhere'"),
        ({"file": "{root}/absent.csv"}, "no file .*absent.csv"),
    ],
)  # fmt: skip
def test_mistakes(root, options, message):
    with pytest.raises(InputError, match=message):
        read(root, **{**RULES, **options})


def test_a_file_below_the_root_needs_a_root():
    with pytest.raises(InputError, match=r"is below the root: set data\.root=PATH"):
        components.construct("data", {"name": "table", "file": "{root}/data.csv"}, {})


def test_a_damaged_gzip_file(root):
    content = gzip.compress(TABLE.encode())
    (root / "data.csv.gz").write_bytes(content[:-12])
    with pytest.raises(InputError, match="is not a complete gzip file"):
        read(root, file="{root}/data.csv.gz", **RULES)
