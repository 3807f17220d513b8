"""COCO and imSitu with gender: rows, classes and lists, and that no code of a pickle runs."""

import os
import pickle

import pytest

from debias.errors import InputError
from tests.data.sets.test_preset_trees import labels, read

PEOPLE = {
    "train": [(0, 1), (1, 0), (1, 0), (0, 1)],
    "val": [(0, 0)],
    "test": [(1, 1), (0, 0)],
}


def store(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=0))


@pytest.fixture
def imsitu(tmp_path):
    for split, people in PEOPLE.items():
        rows = [
            {"gender": gender, "verb": verb, "image_name": f"{split}_{number}.jpg"}
            for number, (gender, verb) in enumerate(people)
        ]
        store(tmp_path / f"{split}.data", rows)
    store(tmp_path / "verb_id.map", {"id2verb": {1: "curling", 0: "saying"}, "verb2id": {}})
    store(tmp_path / "train_ratio_1.ids", [2, 0])
    return tmp_path


@pytest.fixture
def coco(tmp_path):
    for split, people in PEOPLE.items():
        rows = [
            {
                "file_name": f"{split}_{number}.jpg",
                "objects": [first, 1 - first, 0],
                "gender": [1 - gender, gender],
            }
            for number, (gender, first) in enumerate(people)
        ]
        store(tmp_path / f"labels/{split}.data", rows)
        store(tmp_path / f"labels/{split}_ratio_2.ids", {0})
    names = dict(enumerate(["kite", "cup", "tie"]))
    store(tmp_path / "labels/object_id.map", {"id2object": names})
    return tmp_path


def test_imsitu(imsitu):
    folder = "of500_images_resized"
    every = {
        f"{folder}/train_0.jpg": ("train", "curling", "man"),
        f"{folder}/train_1.jpg": ("train", "saying", "woman"),
        f"{folder}/train_2.jpg": ("train", "saying", "woman"),
        f"{folder}/train_3.jpg": ("train", "curling", "man"),
        f"{folder}/val_0.jpg": ("val", "saying", "man"),
        f"{folder}/test_0.jpg": ("test", "curling", "woman"),
        f"{folder}/test_1.jpg": ("test", "saying", "man"),
    }
    assert labels(read("imsitu_gender", imsitu)) == every
    balanced = [path for path in every if not path.endswith(("train_1.jpg", "train_3.jpg"))]
    assert list(read("imsitu_gender", imsitu, ratio=1).images) == balanced


def test_coco(coco):
    options = {"annotations": str(coco / "labels")}
    examples = read("coco_gender", coco, **options)
    assert examples.images[:4] == tuple(f"train2014/train_{number}.jpg" for number in range(4))
    names = ("val_0", "test_0", "test_1")
    assert examples.images[4:] == tuple(f"val2014/{name}.jpg" for name in names)
    assert examples.target.tolist()[:2] == [[1, 0, 0], [0, 1, 0]]
    assert examples.bias.tolist() == [0, 1, 1, 0, 0, 1, 0]
    assert examples.groups.multi_label
    assert examples.groups.target_names[:3] == ("not kite", "kite", "not cup")
    few = read("coco_gender", coco, ratio=2, balanced=["val", "test"], **options)
    assert few.split.tolist() == [0, 0, 0, 0, 1, 2]


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_no_code_of_a_file_runs(imsitu, monkeypatch):
    monkeypatch.chdir(imsitu)
    store(imsitu / "val.data", [Attack()])
    with pytest.raises(InputError, match=r"val.data \(it holds an object of the class posix.mkdir"):
        read("imsitu_gender", imsitu)
    assert not (imsitu / "attacked").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 4}, "data.ratio must be one of None, 1, 2, 3; got 4"),
        ({"ratio": 1, "balanced": ["dev"]}, "data.balanced must be one of train, val, test"),
        ({"ratio": 2}, "no file .*train_ratio_2.ids: get it from uvavision"),
    ],
)
def test_mistakes(imsitu, options, message):
    with pytest.raises(InputError, match=message):
        read("imsitu_gender", imsitu, **options)


def test_files_that_do_not_fit_each_other(imsitu):
    store(imsitu / "train_ratio_1.ids", {0, 9})
    with pytest.raises(InputError, match=r"ids names row 9, but train.data has 4 rows: fetch both"):
        read("imsitu_gender", imsitu, ratio=1)
    store(imsitu / "val.data", [{"gender": 0, "image_name": "val_0.jpg"}])
    with pytest.raises(InputError, match=r"are not as expected .no 'verb'.: fetch them again"):
        read("imsitu_gender", imsitu)


def test_a_damaged_file(imsitu):
    (imsitu / "test.data").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(InputError, match=r"cannot read .*test.data .*: fetch it again"):
        read("imsitu_gender", imsitu)
