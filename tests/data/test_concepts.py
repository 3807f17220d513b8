"""Tables of concepts and of signs: what is read, and every mistake in one line."""

from pathlib import Path

import pytest
import torch

from debias.data.concepts import read_concepts, read_signs
from debias.data.examples import Examples
from tests.fakes import GROUPS

NUMBER = torch.arange(3)
EXAMPLES = Examples(
    Path("root"), ("a.png", "b.png", "c.png"), NUMBER % 2, NUMBER % 2, NUMBER, GROUPS, Path("t.csv")
)
NAMES = ("long bill", "webbed")


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_concepts_by_hand(tmp_path):
    """Lines are found by path, in any order. A blank, or no line, is unknown."""
    path = written(tmp_path, "webbed,path,long bill\n1,c.png,0\n,a.png,1\n0,other.png,0\n")
    found = read_concepts(path, EXAMPLES)
    assert found.names == ("webbed", "long bill")
    assert found.labels.tolist() == [[-1, 1], [-1, -1], [1, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,webbed\na.png,1\n", "has no column 'path'"),
        ("path\na.png\n", "has no column of a concept beside path: add one"),
        ("path,webbed\na.png,2\n", r"line 2: webbed is '2', but must be one of 1, 0"),
        ("path,webbed\n,1\n", "line 2: path is '', but must be the path of an image"),
        ("path,webbed\na.png,1\na.png,1\n", "line 2: path is 'a.png', as on a later line"),
        ("path,webbed\nx/a.png,1\n", "names no image of t.csv: it has paths such as x/a.png"),
    ],
)
def test_refuses_concepts(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_concepts(written(tmp_path, text), EXAMPLES)


def test_signs_by_hand(tmp_path):
    """Rows and columns are in the order of the classes and concepts, not of the file."""
    path = written(tmp_path, "class,more,webbed,long bill\nwaterbird,0,1,0\nlandbird,1,-1,1\n")
    assert read_signs(path, GROUPS.target_names, NAMES).tolist() == [[1, -1], [0, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,webbed,long bill\nlandbird,1,0\n", "must have one line per class, landbird, water"),
        ("class,webbed\nlandbird,1\nwaterbird,0\n", "has no column 'long bill', which is a con"),
        ("class,webbed,long bill\nlandbird,1,0\nwaterbird,,0\n", "line 3: webbed is '', but must"),
        ("class\nlandbird\nwaterbird\n", "has no column of a concept beside class: add one"),
    ],
)
def test_refuses_signs(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_signs(written(tmp_path, text), GROUPS.target_names, NAMES)
