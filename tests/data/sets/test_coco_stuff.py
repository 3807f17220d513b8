"""COCO-Stuff: objects and stuff of both years become labels of the pictures of 2014."""

import json

import pytest

from debias.data.sets.coco_stuff import CONTEXTS
from debias.errors import InputError
from debias.types import ContextPair
from tests.data.sets.test_preset_trees import read

OBJECTS = [{"id": 1, "name": "person"}, {"id": 41, "name": "skateboard"}]
STUFF = [{"id": 149, "name": "road"}, {"id": 183, "name": "other"}]


def annotations(path, categories, pairs, images=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in images],
        "categories": categories,
        "annotations": [{"image_id": image, "category_id": kind} for image, kind in pairs],
    }
    path.write_text(json.dumps(content))


@pytest.fixture
def root(tmp_path):
    """Pictures 1 to 20 are for training. 3 has a skateboard without a person; 7 and 90 have roads.

    Of the stuff, 90 is in the part of 2017 for training although it is one of the test in 2014.
    """
    folder = tmp_path / "annotations"
    people = [(number, 1) for number in range(1, 21) if number != 3]
    annotations(
        folder / "instances_train2014.json", OBJECTS, [*people, (3, 41), (4, 41)], range(1, 21)
    )
    annotations(folder / "instances_val2014.json", OBJECTS, [(91, 1), (91, 41)], (90, 91))
    annotations(folder / "stuff_train2017.json", STUFF, [(7, 149), (90, 149), (7, 183)])
    annotations(folder / "stuff_val2017.json", STUFF, [(91, 183)])
    return tmp_path


def test_labels_of_objects_and_stuff(root):
    examples = read("coco_stuff", root)
    assert examples.groups.target_names == ("not road", "road", "not skateboard", "skateboard")
    assert examples.groups.bias_names == ("not person", "person")
    rows = dict(zip(examples.images, examples.target.tolist(), strict=True))
    labelled = {path: row for path, row in rows.items() if any(row)}
    assert labelled == {
        "train2014/3.jpg": [0, 1],
        "train2014/4.jpg": [0, 1],
        "train2014/7.jpg": [1, 0],
        "val2014/90.jpg": [1, 0],
        "val2014/91.jpg": [0, 1],
    }
    assert examples.bias.tolist() == [number != 3 for number in range(1, 21)] + [0, 1]
    counts = [len(examples.rows(split)) for split in ("train", "val", "test")]
    assert counts == [16, 4, 2]


def test_the_pairs_of_the_paper_are_contexts(root):
    examples = read("coco_stuff", root, targets=["person", "skateboard"], bias="road")
    assert examples.groups.contexts == (ContextPair(1, 0),)
    assert read("coco_stuff", root).groups.contexts == ()  # a person is the bias here


def test_one_pair(root):
    examples = read("coco_stuff", root, targets=["skateboard"])
    assert examples.target.tolist() == [number in (3, 4) for number in range(1, 21)] + [0, 1]
    assert not examples.groups.multi_label
    assert len(CONTEXTS) == 20
    assert CONTEXTS["skateboard"] == "person"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["skatebord"]}, "no category 'skatebord'; did you mean 'skateboard'"),
        ({"targets": ["person"]}, "must be different categories; got targets=.'person'. and bias"),
        ({"holdout": 1.0}, r"data.holdout must lie in \(0, 1\)"),
    ],
)
def test_mistakes(root, options, message):
    with pytest.raises(InputError, match=message):
        read("coco_stuff", root, **options)


def test_files_that_are_not_there_or_damaged(root):
    (root / "annotations/stuff_val2017.json").write_text("{}")
    with pytest.raises(InputError, match=r"cannot read .*stuff_val2017.json as annotations"):
        read("coco_stuff", root)
    content = {"images": [{"file_name": "1.jpg"}], "categories": [], "annotations": []}
    (root / "annotations/stuff_val2017.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"cannot read .*stuff_val2017.json as .* \('id'\)"):
        read("coco_stuff", root)
    (root / "annotations/stuff_val2017.json").unlink()
    with pytest.raises(InputError, match=r"no file .*stuff_val2017.json: unpack the annotations"):
        read("coco_stuff", root)
