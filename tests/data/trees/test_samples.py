"""Samples: each preset is read back from the tree that is made from its description."""

import csv

import cv2
import pytest

from debias import components, presets
from debias.__main__ import main
from debias.data.checks import check_examples
from debias.data.examples import SPLITS
from debias.data.trees.samples import write_sample
from debias.errors import InputError
from debias.presets import Preset, Sample

SAMPLES = {name: presets.preset(name).sample for name in presets.names()}
DESCRIBED = [name for name, sample in SAMPLES.items() if sample.fields or sample.by]


@pytest.mark.filterwarnings("ignore:.*no training image")
@pytest.mark.parametrize("name", DESCRIBED)
def test_a_preset_is_read_back_from_its_sample(name, tmp_path):
    """Every split has a picture, and every class a picture for training."""
    preset = presets.preset(name)
    count = write_sample(preset, tmp_path, preset.sample.each)
    examples = components.construct("data", {"name": name, "root": str(tmp_path)}, {})
    # Spawrious takes a part of its images, FMoW some years; ISIC has segmentations beside them
    assert len(examples) == count or name in ("spawrious", "fmow", "isic")
    splits = set(examples.split.tolist())
    assert splits in ({0, 1, 2}, {2})  # some sets are only for evaluation
    assert bool((examples.class_counts(SPLITS[min(splits)]) > 0).all()) or splits == {2}
    if splits != {2}:
        check_examples(examples)


def pets(tables=None, **fields):
    images = ["cats/{target:cat}_*.jpg", "dogs/{target:dog}_{id}.png"]
    given = {"title": "", "target": "", "bias": "", "citation": "", "reader": "", "name": "pets"}
    return Preset(**given, sample=Sample(fields, images, tables or {}))


def test_a_sample_has_pictures_per_combination_of_the_fields_of_a_template(tmp_path):
    assert write_sample(pets(target=["cat", "dog"], unused=[1, 2, 3]), tmp_path, 2) == 4
    paths = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert paths == ["cats/cat_0.jpg", "cats/cat_1.jpg", "dogs/dog_2.png", "dogs/dog_3.png"]
    assert {cv2.imread(str(tmp_path / path)).shape for path in paths} == {(32, 32, 3)}


def test_tables_have_a_row_per_picture_and_one_file_per_field_in_their_name(tmp_path):
    columns = {"file": "{image}", "breed": "{target}", "age": "{age}"}
    tables = {"lists/{split}.csv": columns}
    fields = {"target": ["cat", "dog"], "age": [3], "split": ["a", "b"]}
    assert write_sample(pets(tables, **fields), tmp_path, 1) == 4
    texts = [(tmp_path / f"lists/{part}.csv").read_text() for part in "ab"]
    rows = [list(csv.reader(text.splitlines())) for text in texts]
    assert rows[0] == [
        ["file", "breed", "age"],
        ["cats/cat_0.jpg", "cat", "3"],
        ["dogs/dog_2.png", "dog", "3"],
    ]
    assert [row[0] for row in rows[1][1:]] == ["cats/cat_1.jpg", "dogs/dog_3.png"]


def test_a_preset_without_a_sample_is_refused(tmp_path):
    with pytest.raises(InputError, match="pets: its layout is not described"):
        write_sample(pets(), tmp_path, 1)


def test_the_command_writes_a_new_folder(tmp_path, capsys):
    out = tmp_path / "made" / "birds"
    assert main(["data", "sample", "waterbirds", f"out={out}", "images=3"]) == 0
    assert capsys.readouterr().out.startswith(f"36 pictures in {out}; data.name=waterbirds ")
    assert len(list(out.rglob("*.jpg"))) == 36


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["waterbirds"], "the sample needs a folder: add out=FOLDER"),
        (["waterbirds", "out=."], ". is not empty: name a new folder by out=FOLDER"),
        (["waterbirds", "out=x", "images=0"], "images must be at least 1; got 0"),
        (["waterbirds", "out=x", "images=few"], "images must be an integer; got images=few"),
        (["waterbirds", "out=x", "image=2"], "unknown option image; did you mean 'images'"),
        (
            ["drawn_birds", "out=x"],
            "debias cannot make a sample of drawn_birds: its layout is not described",
        ),
        (["waterbird", "out=x"], "no data set 'waterbird'; did you mean 'waterbirds'"),
    ],
)
def test_mistakes_leave_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["data", "sample", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
