"""``debias data diagnose``: the table and the config that it writes, and its mistakes."""

import csv
from collections import Counter

import pytest

from debias import components
from debias import config as configs
from debias.__main__ import main
from debias.evaluation.measures import chosen_families


def write_faces(folder, *, rows=6):
    """Each of two genders, three ages and two places ``rows`` times; age "old" once more often."""
    cells = [
        (gender, age, place)
        for gender in ("f", "m")
        for age in ("15", "30", "70", "80")
        for place in ("x", "y")
        for _ in range(rows)
    ]
    lines = [f"{number}.png,{','.join(cell)}" for number, cell in enumerate(cells)]
    (folder / "faces.csv").write_text("\n".join(["path,gender,age,place", *lines]))


def test_a_table_and_a_config_that_reads_it(tmp_path, monkeypatch, capsys):
    """Of three ages, 40+ has most images, and 0-19 comes before 20-39, which has as many.

    Cells with 40+ have 12 images, those with 0-19 have 6.
    """
    write_faces(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ["cues=[gender,age,place]", "values=2", "out=cues.csv", "val=0.34"]
    bins = "data.bins={age: [0, 20, 40]}"
    assert main(["data", "diagnose", "faces.csv", *options, bins, "each=5"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "train: 8 images, equally many of 2 classes",
        "val: 4 images, equally many of 2 classes",
        "test: 30 images, equally many of 6 conflicts",
        "debias train cues.yaml trains on cues.csv",
    ]
    rows = list(csv.DictReader((tmp_path / "cues.csv").read_text().splitlines()))
    train = Counter((r["gender"], r["age"], r["place"]) for r in rows if r["split"] == "train")
    assert train == {("f", "0-19", "x"): 4, ("m", "40+", "y"): 4}
    config = configs.load("cues.yaml")
    examples = components.construct("data", config.data, {})
    assert [one.name for one in examples.groups.attributes] == ["age", "place"]
    assert examples.groups.attributes[0].aligned == ((0, 0), (1, 1))
    assert "preference" in chosen_families(config.measures)
    assert main(["data", "diagnose", "faces.csv", *options, bins, "each=7"]) == 0
    few = "3 conflicts have fewer than 7 images and are left out: f & 0-19 & y, m & 0-19 & x, m & "
    assert few in capsys.readouterr().out
    assert main(["data", "diagnose", "faces.csv", *options, bins, "each=13"]) == 2
    assert "no conflict of the cues has 13 rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["faces.csv", "cues=[gender]", "out=a.csv"], "needs at least two cues and a table"),
        (["faces.csv", "cues=[gender,age]"], "needs at least two cues and a table"),
        (
            ["faces.csv", "cues=[gender,place]", "values=3", "out=a.csv"],
            "cue gender has 2 values, and values=3",
        ),
        (["faces.csv", "cues=[gender,plce]", "out=a.csv"], "did you mean 'place'"),
        (["faces.csv", "cues=[gender,place]", "out=a.csv", "vals=2"], "did you mean 'val"),
        (["waterbirds", "cues=[a,b]", "out=a.csv"], "has no columns to choose as cues"),
    ],
)
def test_mistakes_write_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    write_faces(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "diagnose", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["faces.csv"]
