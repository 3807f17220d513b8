"""How ImageNet's thousand classes map to the classes of other sets."""

import pytest
import torch

from debias.data.class_maps import WNIDS, class_map, readable
from debias.errors import InputError

BY_POSITION = {"tabby cat": 281, "goldfish": 1, "airliner": 404, "warplane": 895, "ostrich": 9}


@pytest.mark.parametrize(
    ("name", "classes", "members"),
    [
        ("wnids", 1000, 1000),
        ("positions", 1000, 1000),
        ("imagenet_a", 200, 200),
        ("imagenet_r", 200, 200),
        ("imagenet9", 9, 370),
        ("cue_conflict", 16, 207),
        ("hard_imagenet", 15, 15),
    ],
)
def test_sizes(name, classes, members):
    """Every class has members; the sums are those of the authors' lists."""
    found = class_map(name)
    assert (len(set(found.classes)), int((found.of_imagenet >= 0).sum())) == (classes, members)
    assert found.of_imagenet.unique().tolist() == [-1] * (members < 1000) + list(range(classes))


def test_sizes_of_the_classes_of_imagenet_9():
    """116 dogs, 52 birds and so on, of MadryLab/backgrounds_challenge: in_to_in9.json."""
    places = class_map("imagenet9").of_imagenet
    sizes = torch.bincount(places[places >= 0]).tolist()
    assert sizes == [116, 52, 42, 36, 35, 27, 26, 20, 16]


def test_some_classes_are_where_they_belong():
    """In the cue conflict, an airliner is an aeroplane, a warplane none, and an ostrich no bird."""
    conflict, nine = class_map("cue_conflict"), class_map("imagenet9")
    names = {
        word: (*conflict.classes, "none")[conflict.of_imagenet[place]]
        for word, place in BY_POSITION.items()
    }
    assert names == {
        "tabby cat": "cat",
        "goldfish": "none",
        "airliner": "airplane",
        "warplane": "none",
        "ostrich": "none",
    }
    assert nine.classes[nine.of_imagenet[1]] == "08_fish"
    assert WNIDS[1] == "n01443537"
    assert class_map("positions").of_imagenet.tolist() == list(range(1000))


def test_a_wnid_is_made_readable_and_no_other_name():
    assert [readable(name) for name in (WNIDS[404], "cat")] == ["airliner (n02690373)", "cat"]


def test_an_unknown_map_is_an_error():
    with pytest.raises(InputError, match="must be one of cue_conflict, hard_imagenet"):
        class_map("imagenet_b")
