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
        "agreeing: f & 0-19 & x, m & 40+ & y",
        "train: 8 images, equally many of 2 classes",
        "val: 4 images, equally many of 2 classes",
        "test: 30 images, equally many of 6 conflicts",
        "debias train cues.yaml trains on cues.csv",
    ]
    rows = list(csv.DictReader((tmp_path / "cues.csv").read_text().splitlines()))
    train = Counter((r["gender"], r["age"], r["place"]) for r in rows if r["split"] == "train")
    assert train == {("0", "0", "0"): 4, ("1", "1", "1"): 4}
    config = configs.load("cues.yaml")
    examples = components.construct("data", config.data, {})
    assert [one.name for one in examples.groups.attributes] == ["age", "place"]
    assert examples.groups.attributes[0] == ("age", ("0-19", "40+"), ((0, 0), (1, 1)))
    assert "preference" in chosen_families(config.measures)
    assert main(["data", "diagnose", "faces.csv", *options, bins, "each=7"]) == 0
    few = "3 conflicts have fewer than 7 images and are left out: f & 0-19 & y, m & 0-19 & x, m & "
    assert few in capsys.readouterr().out
    assert main(["data", "diagnose", "faces.csv", *options, bins, "each=13"]) == 2
    assert "no conflict of the cues has 13 rows" in capsys.readouterr().err


def test_numbers_with_a_gap_are_names_of_the_written_table(tmp_path, monkeypatch):
    """The ages 0 and 3 are the values 0 and 1 of the cue, and the config has their names."""
    write_faces(tmp_path)
    text = (tmp_path / "faces.csv").read_text()
    for name, number in (("15", "0"), ("30", "0"), ("70", "3"), ("80", "3")):
        text = text.replace(f",{name},", f",{number},")
    (tmp_path / "faces.csv").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "diagnose", "faces.csv", "cues=[age,gender]", "out=cues.csv"]) == 0
    examples = components.construct("data", configs.load("cues.yaml").data, {})
    assert examples.groups.target_names == ("0", "3")
    assert set(examples.target.tolist()) == {0, 1}
    ages = {row.split(",")[0]: row.split(",")[2] for row in text.splitlines()}
    found = zip(examples.images, examples.target.tolist(), strict=True)
    assert all(ages[image] == ("0", "3")[target] for image, target in found)


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
        (["faces.csv", "cues=[gender,gender]", "out=a.csv"], "cues must be different columns"),
        (["faces.csv", "cues=[gender,path]", "out=a.csv"], "none may be called path or split"),
        (["faces.csv", "cues=[gender,place]", "out=a.csv", "values=-1"], "values must be at least"),
        (["faces.csv", "cues=[gender,place]", "out=a.csv", "each=2.5"], "each must be an integer"),
        (["faces.csv", "cues=[gender,place]", "out=a.parquet"], "a name that ends in .csv"),
        (["faces.csv", "cues=[gender,place]", "out=./faces.csv"], "would replace faces.csv"),
        (["waterbirds", "cues=[a,b]", "out=a.csv"], "has no columns to choose as cues"),
        (["coco_stuff", "cues=[a,b]", "out=a.csv"], "has no columns to choose as cues"),
    ],
)
def test_mistakes_write_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    write_faces(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "diagnose", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["faces.csv"]


def test_a_config_is_not_replaced_and_its_noise_is_refused(tmp_path, monkeypatch, capsys):
    write_faces(tmp_path)
    monkeypatch.chdir(tmp_path)
    section = "data: {name: table, file: faces.csv, target: gender, bias: place, shares: [1, 0, 0]"
    (tmp_path / "own.yaml").write_text(section + "}")
    (tmp_path / "notes.csv").write_text("mine")
    (tmp_path / "noisy.yaml").write_text(section + ", label_noise: 0.5}")
    for arguments, message in (
        (["own.yaml", "out=own.csv"], "out=own.csv would replace own.yaml, which is read"),
        (["own.yaml", "out=faces.csv"], "out=faces.csv would replace faces.csv"),
        (["faces.csv", "out=own.csv"], "own.yaml exists, and this command did not write it"),
        (["faces.csv", "out=notes.csv"], "notes.csv exists, and this command did not write it"),
        (["noisy.yaml", "out=a.csv"], "data.label_noise and data.image_noise would get into the"),
    ):
        assert main(["data", "diagnose", *arguments, "cues=[gender,place]"]) == 2
        assert message in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 4


def test_how_images_are_read_is_kept_and_shared_units_are_named(tmp_path, monkeypatch, capsys):
    """Images of both places have every gender and age, so both are in all splits."""
    write_faces(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ["data.follow_links=true", "data.max_pixels=5000", "data.split_by=place"]
    cues = ["cues=[gender,age]", "data.bins={age: [0, 40]}", "out=a.csv"]
    assert main(["data", "diagnose", "faces.csv", *cues, *options]) == 0
    section = configs.load("a.yaml").data
    assert (section["follow_links"], section["max_pixels"]) == (True, 5000)
    text = "2 values of data.split_by are in several splits: x, y"
    assert text in capsys.readouterr().out.splitlines()


def test_attributes_of_celeba_are_cues(tmp_path, monkeypatch, capsys):
    """The sample has two images of each split and group: six of each group."""
    monkeypatch.chdir(tmp_path)
    assert main(["data", "sample", "celeba", "out=files", "images=2"]) == 0
    options = ["cues=[Blond_Hair,Male]", "root=files", "out=a.csv"]
    assert main(["data", "diagnose", "celeba", *options]) == 0
    assert "test: 12 images, equally many of 2 conflicts" in capsys.readouterr().out
    examples = components.construct("data", configs.load("a.yaml").data, {})
    assert examples.groups.target_names == ("not Blond_Hair", "Blond_Hair")
