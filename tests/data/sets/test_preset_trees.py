"""Presets read trees that are written by hand here, as papers and the authors' code describe them.

A sample is made from the description that reads it. So it cannot show that a description is wrong.
"""

import pytest

from debias import components
from debias.data.examples import SPLITS
from tests.data.small_pictures import touch


def read(name, root, **options):
    return components.construct("data", {"name": name, "root": str(root), **options}, {})


def labels(examples):
    """Split, class and bias value of each image by path; ``None`` for an unknown bias."""
    groups = examples.groups
    names = [*groups.bias_names, None]
    columns = (examples.split.tolist(), examples.target.tolist(), examples.bias.tolist())
    return {
        path: (SPLITS[split], groups.target_names[target], names[bias])
        for path, split, target, bias in zip(examples.images, *columns, strict=True)
    }


BG, CO = "bg-0.95_co_occur_obj-0.95", "bg-0.5_co_occur_obj-0.5"
FACES = "bffhq/0.5pct"
#: The images of a tree by preset, with their labels.
TREES = {
    "metashift_mixed": {
        "MetaShift-subpopulation-shift/train/cat/2315.jpg": ("train", "cat", None),
        "MetaShift-subpopulation-shift/train/dog/7.jpg": ("train", "dog", None),
        "MetaShift-subpopulation-shift/val_out_of_domain/cat/9.jpg": ("test", "cat", None),
    },
    "bar": {
        "train/climbing_0.jpg": ("train", "climbing", None),
        "train/pole vaulting_12.jpg": ("train", "pole vaulting", None),
        "test/pole vaulting_279.jpg": ("test", "pole vaulting", None),
        "test/racing_400.jpg": ("test", "racing", None),
    },
    "bffhq": {
        f"{FACES}/align/0/10_0_0.png": ("train", "young", "0"),
        f"{FACES}/align/1/11_1_1.png": ("train", "old", "1"),
        f"{FACES}/conflict/0/12_0_1.png": ("train", "young", "1"),
        "bffhq/valid/13_1_0.png": ("val", "old", "0"),
        "bffhq/test/14_0_0.png": ("test", "young", "0"),
    },
    "cmnist_png": {
        "cmnist/0.5pct/align/0/1_0_0.png": ("train", "0", "0"),
        "cmnist/0.5pct/conflict/2/7_2_1.png": ("train", "2", "1"),
        "cmnist/0.5pct/valid/8_1_0.png": ("val", "1", "0"),
        "cmnist/test/2/9_2_2.png": ("test", "2", "2"),
    },
    "cifar10c_png": {
        "cifar10c/0.5pct/align/0/1_0_0.png": ("train", "airplane", "0"),
        "cifar10c/0.5pct/conflict/2/7_2_1.png": ("train", "bird", "1"),
        "cifar10c/0.5pct/valid/1/8_1_0.png": ("val", "automobile", "0"),
        "cifar10c/test/2/9_2_2.png": ("test", "bird", "2"),
    },
    "urbancars": {
        f"{BG}/train/obj-urban_bg-country_co_occur_obj-urban/000.jpg": (
            *("train", "urban"),
            "bg=country & co_occur_obj=urban",
        ),
        f"{CO}/val/obj-country_bg-urban_co_occur_obj-country/000.jpg": (
            *("val", "country"),
            "bg=urban & co_occur_obj=country",
        ),
        f"{CO}/test/obj-country_bg-country_co_occur_obj-country/124.jpg": (
            *("test", "country"),
            "bg=country & co_occur_obj=country",
        ),
    },
    "spuco_animals": {
        "spuco_birds/train/landbirds/water/0.jpg": ("train", "landbirds", "water"),
        "spuco_birds/val/waterbirds/land/3.jpg": ("val", "waterbirds", "land"),
        "spuco_dogs/train/small_dogs/indoor/1.jpg": ("train", "small_dogs", "indoor"),
        "spuco_dogs/test/big_dogs/outdoor/2.jpg": ("test", "big_dogs", "outdoor"),
    },
    "spuco_birds": {
        "spuco_birds/train/landbirds/water/0.jpg": ("train", "landbirds", "water"),
        "spuco_birds/test/waterbirds/land/3.jpg": ("test", "waterbirds", "land"),
    },
    "spuco_dogs": {
        "spuco_dogs/train/small_dogs/indoor/0.jpg": ("train", "small_dogs", "indoor"),
        "spuco_dogs/val/big_dogs/outdoor/3.jpg": ("val", "big_dogs", "outdoor"),
    },
    # salamanders of ImageNet are the classes 25 to 29; 27 and 29 are in the source domain
    "living17": {
        "train/n01631663/n01631663_2.JPEG": ("train", "salamander", None),
        "train/n01632777/n01632777_3.JPEG": ("train", "salamander", None),
        "train/n02483362/n02483362_1.JPEG": ("train", "ape", None),
        "val/n01631663/ILSVRC2012_val_00000007.JPEG": ("test", "salamander", None),
    },
    "living17_shifted": {
        "train/n01631663/n01631663_2.JPEG": ("train", "salamander", None),
        "val/n01632458/ILSVRC2012_val_00000008.JPEG": ("test", "salamander", None),
    },
    "imagenet": {
        "train/n01440764/n01440764_1.JPEG": ("train", "n01440764", None),
        "val/n01440764/ILSVRC2012_val_00000293.JPEG": ("test", "n01440764", None),
    },
    "imagenet_nine": {
        "train/n02085620/n02085620_7.JPEG": ("train", "dog", None),
        "train/n02123045/n02123045_7.JPEG": ("train", "cat", None),
        "val/n02190166/ILSVRC2012_val_00000001.JPEG": ("test", "insect", None),
    },
    "pacs": {
        "photo/dog/056_0001.jpg": ("train", "dog", "photo"),
        "art_painting/person/pic_1.jpg": ("train", "person", "art_painting"),
        "sketch/dog/n02103406_343-1.png": ("test", "dog", "sketch"),
    },
    "office_home": {
        "Art/Alarm_Clock/00001.jpg": ("train", "Alarm_Clock", "Art"),
        "Real World/Alarm_Clock/00001.jpg": ("test", "Alarm_Clock", "Real World"),
    },
    "vlcs": {
        "Caltech101/bird/006_0001.jpg": ("train", "bird", "Caltech101"),
        "VOC2007/car/000012.jpg": ("test", "car", "VOC2007"),
        "SUN09/car/1.jpg": ("train", "car", "SUN09"),
    },
    "terra_incognita": {
        "location_38/bobcat/58482fe9.jpg": ("train", "bobcat", "location_38"),
        "location_100/bobcat/59641b04.jpg": ("test", "bobcat", "location_100"),
    },
    "domain_net": {
        "clipart/zebra/clipart_345_000001.jpg": ("train", "zebra", "clipart"),
        "sketch/zebra/sketch_345_000002.jpg": ("test", "zebra", "sketch"),
    },
}
#: Files beside the images that a data set does not read.
OTHERS = {
    "bar": ["metadata.json", "assets/tiled.png"],
    "bffhq": [f"{FACES.replace('0.5', '2')}/align/0/1_0_0.png"],
    "cmnist_png": ["cmnist/5pct/align/0/1_0_0.png", "cmnist/1pct/valid/8_1_0.png"],
    "urbancars": [
        f"{BG}/train/obj-urban_bg-country_co_occur_obj-urban/000_mask.png",
        f"{BG}/train/obj-urban_bg-country_co_occur_obj-urban/000_co_occur_obj_mask.png",
        "bg_only/train/0.jpg",
    ],
    "spuco_birds": ["spuco_dogs/train/small_dogs/indoor/0.jpg"],
    # the classes 26 and 28 are in the target domain; class 0 is in no domain
    "living17": ["train/n01632458/1.JPEG", "val/n01630670/2.JPEG", "train/n01440764/3.JPEG"],
    "living17_shifted": ["train/n01632458/1.JPEG", "val/n01631663/2.JPEG"],
    "imagenet": ["test/ILSVRC2012_test_00000001.JPEG"],
    "imagenet_nine": ["train/n01440764/3.JPEG", "imagenet-a/n02085620/3.jpg"],
    "terra_incognita": ["eccv_18_all_images_sm/59641b04.jpg"],
    "domain_net": ["mirror/zebra/1.jpg"],
}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_of_the_authors_is_read(name, tmp_path):
    touch(tmp_path, *TREES[name], *OTHERS.get(name, ()))
    assert labels(read(name, tmp_path, holdout=0)) == TREES[name]


def test_metashift_pools_all_folders_and_draws_splits(tmp_path):
    """A quarter is for test and a tenth for validation, whatever the folders say."""
    folders = ("train/cat/cat(indoor)", "train/dog/dog(outdoor)")
    folders += ("test/cat/cat(outdoor)", "test/dog/dog(indoor)")
    root = "MetaShift-Cat-Dog-indoor-outdoor"
    paths = [f"{root}/{folder}/{n}.jpg" for n, folder in enumerate(folders * 20)]
    touch(tmp_path, *paths, "imageID_to_group.pkl")
    examples = read("metashift", tmp_path)
    assert examples.frequencies("test").tolist() == [5, 5, 5, 5]
    assert examples.frequencies("val").tolist() == [2, 2, 2, 2]
    assert examples.groups.names == ("dog-outdoor", "dog-indoor", "cat-outdoor", "cat-indoor")
    found = labels(examples)
    assert found[f"{root}/test/dog/dog(indoor)/3.jpg"][1:] == ("dog", "indoor")
    # an image in two folders is in one split
    touch(tmp_path, *(f"{root}/train/cat/cat(indoor)/{n}.jpg" for n in range(3, 80, 4)))
    found = labels(read("metashift", tmp_path))
    for n in range(3, 80, 4):
        twice = [split for path, (split, _, _) in found.items() if path.endswith(f"/{n}.jpg")]
        assert len(twice) == 2
        assert len(set(twice)) == 1


def test_nico_draws_75_images_of_each_pair_and_leaves_small_pairs_without_training(tmp_path):
    root = "public_dg_0416/train"
    sizes = {"autumn/bear": 80, "dim/bear": 30, "water/ship": 76, "dim/ship": 75}
    touch(tmp_path, *(f"{root}/{place}/{n}.jpg" for place, m in sizes.items() for n in range(m)))
    touch(tmp_path, "public_dg_0416/public_test_flat/1.jpg")
    examples = read("nico", tmp_path)
    names = ("bear-autumn", "bear-dim", "bear-water", "ship-autumn", "ship-dim", "ship-water")
    assert examples.groups.names == names
    assert examples.frequencies("train").tolist() == [5, 0, 0, 0, 0, 1]
    assert examples.frequencies("val").tolist() == [25, 10, 0, 0, 25, 25]
    assert examples.frequencies("test").tolist() == [50, 20, 0, 0, 50, 50]
    # the protocol of domain generalisation
    held_out = read("nico", tmp_path, per_group=None, test_domains=["dim"])
    assert held_out.frequencies("test").tolist() == [0, 30, 0, 0, 75, 0]


def test_another_share_of_conflicting_images(tmp_path):
    touch(tmp_path, *TREES["cmnist_png"], *OTHERS["cmnist_png"])
    found = labels(read("cmnist_png", tmp_path, only={"percent": "5pct"}, holdout=0))
    assert found == {
        "cmnist/5pct/align/0/1_0_0.png": ("train", "0", "0"),
        "cmnist/test/2/9_2_2.png": ("test", "2", "2"),
    }


def test_the_aligned_pairs_are_those_that_training_favours(tmp_path):
    touch(tmp_path, *TREES["urbancars"], *TREES["bffhq"])
    cars = read("urbancars", tmp_path).groups
    assert [cars.names[target * cars.biases + bias] for target, bias in cars.aligned] == [
        "urban-bg=urban & co_occur_obj=urban",
        "country-bg=country & co_occur_obj=country",
    ]
    faces = read("bffhq", tmp_path, unmatched="leave_out").groups
    assert faces.aligned == ((0, 0), (1, 1))


#: The breeds of Spawrious.
DOGS = ("bulldog", "corgi", "dachshund", "labrador")


def kennels(root, folders, prefix="spawrious224/"):
    """Two images of each breed at each location."""
    places = ("beach", "desert", "dirt", "jungle", "mountain", "snow")
    cells = [f"{folder}/{place}/{dog}" for folder in folders for place in places for dog in DOGS]
    touch(root, *(f"{prefix}{cell}/{n}.png" for cell in cells for n in (1, 2)))


def pairs(examples, split):
    """The folder, location and breed of the images of a split."""
    return {
        tuple(path.split("/")[-4:-1])
        for path, found in labels(examples).items()
        if found[0] == split
    }


def test_spawrious_one_to_one(tmp_path):
    """The tables of the authors: train, test and filler locations of o2o_medium."""
    kennels(tmp_path, (0, 1))
    touch(tmp_path, "spawrious224/domain_adaptation_ds/snow/corgi/1.png")
    examples = read("spawrious", tmp_path, benchmark="o2o_medium", holdout=0)
    own = {
        ("bulldog", "mountain"),
        ("dachshund", "beach"),
        ("labrador", "dirt"),
        ("corgi", "jungle"),
    }
    other = {("bulldog", "jungle"), ("dachshund", "dirt"), ("labrador", "beach"), ("corgi", "snow")}
    train = set(own) | {(dog, "desert") for dog in DOGS}
    assert pairs(examples, "train") == {(f, place, dog) for f in "01" for dog, place in train}
    assert pairs(examples, "test") == {(f, place, dog) for f in "01" for dog, place in other}
    names = examples.groups.target_names, examples.groups.bias_names
    assert names[0] == DOGS
    assert {(names[0][y], names[1][a]) for y, a in examples.groups.aligned} == set(own)


def test_spawrious_many_to_many_swaps_the_locations_of_two_breeds(tmp_path):
    kennels(tmp_path, (0,), prefix="")
    examples = read("spawrious", tmp_path, benchmark="m2m_hard", holdout=0)
    first = {(place, dog) for place in ("dirt", "jungle") for dog in ("bulldog", "dachshund")}
    second = {(place, dog) for place in ("snow", "beach") for dog in ("labrador", "corgi")}
    assert pairs(examples, "train") == {("0", *pair) for pair in first | second}
    first = {(place, dog) for place in ("snow", "beach") for dog in ("bulldog", "dachshund")}
    second = {(place, dog) for place in ("dirt", "jungle") for dog in ("labrador", "corgi")}
    assert pairs(examples, "test") == {("0", *pair) for pair in first | second}
    by_place = read("spawrious", tmp_path, benchmark="m2m_hard", split_by="location")
    assert set(by_place.units) == {"dirt", "jungle", "snow", "beach"}


def test_spawrious_takes_97_and_87_percent_at_the_location_of_the_breed(tmp_path, monkeypatch):
    """3072 and 2756 of 3168 in the authors' code; here of 100."""
    monkeypatch.setattr("debias.data.sets.spawrious.CELL", 100)
    places = {"desert": "bulldog", "jungle": "dachshund", "dirt": "labrador", "snow": "corgi"}
    for folder in "01":
        for place, dog in places.items():
            touch(tmp_path, *(f"{folder}/{place}/{dog}/{n:03}.png" for n in range(100)))
            touch(tmp_path, *(f"{folder}/beach/{dog}/{n:03}.png" for n in range(100)))
        for place, dog in zip(places, ("labrador", "corgi", "bulldog", "dachshund"), strict=True):
            touch(tmp_path, f"{folder}/{place}/{dog}/0.png")
    examples = read("spawrious", tmp_path, holdout=0)
    counts = examples.frequencies("train").reshape(4, 6)
    own = {"bulldog": 1, "corgi": 5, "dachshund": 3, "labrador": 2}
    for row, dog in enumerate(DOGS):
        assert counts[row, own[dog]] == 97 + 87
        assert counts[row, 0] == 3 + 13
    assert {path for path in examples.images if path.startswith("0/beach/corgi/")} == {
        f"0/beach/corgi/00{n}.png" for n in range(3)
    }


def test_spawrious_needs_the_folders_of_its_benchmark(tmp_path):
    kennels(tmp_path, (0,))
    with pytest.raises(ValueError, match="has no images in 1/desert/bulldog, which o2o_easy needs"):
        read("spawrious", tmp_path)
    with pytest.raises(ValueError, match=r"benchmark must be one of o2o_easy, .*; got 'easy'"):
        read("spawrious", tmp_path, benchmark="easy")


def test_only_the_validation_images_of_imagenet(tmp_path):
    """The options that the notes of the preset name."""
    touch(tmp_path, *TREES["imagenet"], *OTHERS["imagenet"])
    found = read("imagenet", tmp_path, pattern="val/{target}/*", split="test", values=None)
    assert labels(found) == {
        path: row for path, row in TREES["imagenet"].items() if path.startswith("val")
    }
