"""Files below a folder, and paths below the folder that all of them share."""

import pytest

from debias.data.listing import below_shared_folder, files_below
from debias.data.sets.table import table
from debias.data.tables.rules import RowRules


@pytest.mark.parametrize(
    ("paths", "below"),
    [
        (["s/a/1.jpg", "s/b/2.jpg"], ["a/1.jpg", "b/2.jpg"]),
        (["s/a/1.jpg", "s/2.jpg"], ["a/1.jpg", "2.jpg"]),
        (["s/a/1.jpg", "s/a/2.jpg"], ["1.jpg", "2.jpg"]),
        (["sa/1.jpg", "sab/1.jpg"], ["sa/1.jpg", "sab/1.jpg"]),
        (["1.jpg", "s/2.jpg"], ["1.jpg", "s/2.jpg"]),
        (["/s/1.jpg", "s/2.jpg"], ["/s/1.jpg", "s/2.jpg"]),
        (["1.jpg"], ["1.jpg"]),
        ([], []),
    ],
)
def test_below_shared_folder(paths, below):
    assert below_shared_folder(paths) == below


def test_files_below_linked_folders(tmp_path):
    """``a/twice`` leads to a folder inside, ``z/up`` to one above, and ``c`` to another disk."""
    for folder in ("set/a", "set/z", "set/.hidden", "disk/deep"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.tar").touch()
    root = tmp_path / "set"
    (root / "a/twice").symlink_to(root / "z")
    (root / "z/up").symlink_to(tmp_path)
    (root / "c").symlink_to(tmp_path / "disk")
    found = [path.relative_to(root).as_posix() for path in files_below(root)]
    assert found == ["a/1.tar", "c/deep/1.tar", "z/1.tar"]


def test_drawn_splits_do_not_depend_on_the_folder_above(tmp_path):
    def drawn(folder):
        lines = [f"{folder}{row}.jpg,{row % 2},0" for row in range(60)]
        (tmp_path / "t.csv").write_text("\n".join(["path,target,bias", *lines]))
        rules = RowRules(shares=[0.6, 0.2, 0.2])
        return table(file=str(tmp_path / "t.csv"), rules=rules).split.tolist()

    assert drawn("above/") == drawn("") == drawn("one/more/")
    assert set(drawn("")) == {0, 1, 2}
