"""A tree described by templates: fields, splits, several biases, and images left out."""

import shutil

import pytest

from debias.data.sets.folder import folder
from debias.data.sets.pattern import pattern
from debias.data.tables.rules import RowRules
from debias.errors import InputError
from tests.data.small_pictures import touch as write


def labels(examples):
    """Split, class and bias value of each image by path; ``None`` for an unknown bias."""
    groups = examples.groups
    names = [*groups.bias_names, None]
    return {
        path: (("train", "val", "test")[split], groups.target_names[target], names[bias])
        for path, split, target, bias in zip(
            examples.images,
            examples.split.tolist(),
            examples.target.tolist(),
            examples.bias.tolist(),
            strict=True,
        )
    }


def test_the_first_template_that_matches_counts(tmp_path):
    root = write(tmp_path, "train/cat/a/1.jpg", "val/dog_b_2.png", "test/dog_b/3.png", "notes.txt")
    templates = [
        "{split}/{target}/{bias}/*",
        "{split}/{target}_{bias}_*",
        "{split}/{target}_{bias}/*",
    ]
    assert labels(pattern(root=root, pattern=templates)) == {
        "train/cat/a/1.jpg": ("train", "cat", "a"),
        "val/dog_b_2.png": ("val", "dog", "b"),
        "test/dog_b/3.png": ("test", "dog", "b"),
    }


def test_a_tree_of_folders_is_one_pattern(tmp_path):
    """The same rows in the same order, and so the same digest."""
    root = write(tmp_path, "train/b/x/1.jpg", "train/a/y/2.jpg", "val/b/x/1.jpg", "test/a/x/9.png")
    both = folder(root=root), pattern(root=root, pattern="{split}/{target}/{bias}/*")
    assert both[0].digest() == both[1].digest()
    assert both[0].images == both[1].images == tuple(sorted(both[0].images))


def test_without_a_field_the_bias_is_unknown(tmp_path):
    root = write(tmp_path, "train/a/1.jpg", "val/b/2.jpg", "test/a/x/3.jpg")
    templates = ["{split}/{target}/*", "{split}/{target}/{bias}/*"]
    assert [bias for _, _, bias in labels(pattern(root=root, pattern=templates)).values()] == [
        "x",
        None,
        None,
    ]
    ignored = ["{split}/{target}/*", "{split}/{target}/{_}/*"]
    assert pattern(root=root, pattern=ignored).provides == ()
    with pytest.raises(
        InputError, match=r"data\.pattern has no field \{place\}; valid: bias, split, target"
    ):
        pattern(root=root, pattern=templates, bias="place")


def test_several_biases_and_other_names_of_fields(tmp_path):
    root = write(tmp_path, "0/cat_in_big.jpg", "1/dog_out_small.jpg", "2/dog_in_small.jpg")
    found = pattern(
        root=root,
        pattern="{part}/{kind}_{place}_{size}.jpg",
        target="kind",
        split="part",
        bias=["place", "size"],
        aligned={"place": [[0, 0], [1, 1]]},
    )
    assert found.groups.bias_names == ("in & big", "in & small", "out & big", "out & small")
    assert found.bias.tolist() == [0, 3, 1]
    assert found.split.tolist() == [0, 1, 2]
    assert found.groups.aligned == ((0, 0), (0, 1), (1, 2), (1, 3))


def test_images_that_match_no_template(tmp_path, capsys):
    root = write(tmp_path, "train/a/1.jpg", "val/a/2.jpg", "test/a/3.jpg", "train/a/m_4.png")
    write(tmp_path, "extra/deep/down/there/5.jpg", "test/a/m_6.png")
    with pytest.raises(InputError, match=r"extra/deep/down contains folders at the wrong depth"):
        pattern(root=root, pattern="{split}/{target}/*.jpg")
    found = pattern(root=root, pattern="{split}/{target}/*.jpg", unmatched="leave_out")
    assert found.images == ("test/a/3.jpg", "train/a/1.jpg", "val/a/2.jpg")
    # folders that no template leads to are not entered, and so not counted
    assert (
        "2 images match no template and are left out, such as test/a/m_6.png"
        in capsys.readouterr().err
    )
    shutil.rmtree(tmp_path / "extra")
    with pytest.raises(
        InputError, match=r"2 of 5 images in .* match no template, such as test/a/m_6\.png: add"
    ):
        pattern(root=root, pattern="{split}/{target}/*.jpg")
    with pytest.raises(InputError, match=r"none of 5 images in .* matches \{split\}/x/\*, such as"):
        pattern(root=root, pattern="{split}/x/*")
    with pytest.raises(InputError, match="unmatched must be one of refuse, leave_out"):
        pattern(root=root, pattern="{split}/x/*", unmatched="ignore")


def test_only_one_text_of_a_field(tmp_path):
    root = write(tmp_path, "1pct/train/a.jpg", "5pct/train/b.jpg", "val/a.jpg", "test/b.jpg")
    templates = ["{percent}/{split}/{target}.jpg", "{split}/{target}.jpg"]
    found = pattern(root=root, pattern=templates, only={"percent": "5pct"})
    assert found.images == ("5pct/train/b.jpg", "test/b.jpg", "val/a.jpg")
    with pytest.raises(InputError, match=r"data\.only\.percent: .* has no '2pct'"):
        pattern(root=root, pattern=templates, only={"percent": "2pct"})


def test_domains_as_the_test_split(tmp_path):
    paths = [f"{place}/{kind}/{n}.jpg" for place in "ABC" for kind in "xy" for n in range(5)]
    root = write(tmp_path, *paths)
    options = {"root": root, "pattern": "{domain}/{target}/*", "bias": "domain"}
    found = pattern(**options, test_domains=["B"], rules=RowRules(holdout=0.2))
    table = labels(found)
    assert {path[0] for path, (split, _, _) in table.items() if split == "test"} == {"B"}
    # one of the five images of each class and domain is held out
    assert found.frequencies("val").tolist() == [1, 0, 1, 1, 0, 1]
    assert found.frequencies("test").tolist() == [0, 5, 0, 0, 5, 0]
    with pytest.raises(InputError, match=r"data\.test_domains: .* has no 'D'; .*valid: A, B, C"):
        pattern(**options, test_domains=["D"])
    with pytest.raises(InputError, match=r"no splits of the data: write \{_\} in place"):
        pattern(**options, split="target", test_domains=["B"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_domains": ["a"], "per_group": [1, 1]}, "data.test_domains and data.per_group each"),
        ({"test_domains": ["a"], "rules": RowRules(shares=[1, 0, 0])}, "data.shares and data.test"),
        ({"split": "train", "test_domains": ["a"]}, "no splits of the data: write {_} in place"),
        ({"split": "train", "per_group": [1, 1]}, "no other splits: write {_} in place"),
        ({"bias": None, "test_domains": ["a"]}, "data.test_domains needs one bias field; got"),
    ],
)
def test_two_options_that_make_splits_are_refused(tmp_path, options, message):
    root = write(tmp_path, "x/a/1.jpg", "y/b/2.jpg")
    with pytest.raises(InputError, match=message):
        pattern(root=root, pattern="{target}/{bias}/*", **options)


def test_images_per_group_do_not_depend_on_the_folder_above(tmp_path):
    """The same draw, whether the root is the folder of the classes or the one above it."""
    write(
        tmp_path,
        *(f"set/{kind}/{place}/{n}.jpg" for kind in "xy" for place in "ab" for n in "12345"),
    )
    below = pattern(root=str(tmp_path / "set"), pattern="{target}/{bias}/*", per_group=[1, 2])
    above = pattern(root=str(tmp_path), pattern="set/{target}/{bias}/*", per_group=[1, 2])
    assert above.split.tolist() == below.split.tolist()


def test_split_by_names_the_units_of_images(tmp_path):
    root = write(tmp_path, "train/a/p1_1.jpg", "val/b/p1_2.jpg", "test/b/p2_3.jpg")
    rules = RowRules(split_by="patient")
    found = pattern(root=root, pattern="{split}/{target}/{patient}_*", rules=rules)
    assert dict(zip(found.images, found.units, strict=True)) == {
        "test/b/p2_3.jpg": "p2",
        "train/a/p1_1.jpg": "p1",
        "val/b/p1_2.jpg": "p1",
    }


def test_the_same_number_of_images_of_each_group(tmp_path):
    """25 and 50 in the ratio 1 : 2: groups of 9, 6 and 4 images with [2, 4]."""
    sizes = {"x/a": 9, "x/b": 6, "y/a": 4}
    paths = [f"{place}/{n}.jpg" for place, size in sizes.items() for n in range(size)]
    options = {"pattern": "{target}/{bias}/*", "per_group": [2, 4]}
    found = pattern(root=write(tmp_path / "one", *paths), **options)
    assert found.frequencies("train").tolist() == [3, 0, 0, 0]
    assert found.frequencies("val").tolist() == [2, 2, 1, 0]
    assert found.frequencies("test").tolist() == [4, 4, 3, 0]
    other = pattern(root=write(tmp_path / "two", *reversed(paths)), **options)
    assert other.digest() == found.digest()
    seeded = pattern(root=str(tmp_path / "one"), **options, rules=RowRules(split_seed=1))
    assert seeded.split.tolist() != found.split.tolist()
    with pytest.raises(InputError, match=r"data\.per_group needs two numbers"):
        pattern(root=str(tmp_path / "one"), pattern="{target}/{bias}/*", per_group=[5])


def test_groups_of_the_draw_are_those_after_values_and_bins(tmp_path):
    """Ages 1 to 6 of two images are one group of 10 images below 6 and one of 2; z is left out."""
    paths = [f"{kind}/{age}_{n}.jpg" for kind in "xz" for age in range(1, 7) for n in "ab"]
    rules = RowRules(values={"target": {"x": "cat", "z": None}}, bins={"age": [0, 6]})
    template = {"pattern": "{target}/{age}_{_}.jpg", "bias": "age", "rules": rules}
    found = pattern(root=write(tmp_path, *paths), **template, per_group=[2, 4])
    assert found.groups.names == ("cat-0-5", "cat-6+")
    assert found.frequencies("train").tolist() == [4, 0]
    assert found.frequencies("val").tolist() == [2, 0]
    assert found.frequencies("test").tolist() == [4, 2]


def test_no_splits_at_all(tmp_path):
    root = write(tmp_path, *(f"{kind}/{n}.jpg" for kind in "ab" for n in range(10)))
    with pytest.raises(InputError, match=r"has no splits: .*data\.shares"):
        pattern(root=root, pattern="{target}/*")
    found = pattern(root=root, pattern="{target}/*", rules=RowRules(shares=[0.5, 0.3, 0.2]))
    assert [found.class_counts(split).tolist() for split in ("train", "val", "test")] == [
        [5, 5],
        [3, 3],
        [2, 2],
    ]


def test_all_images_in_one_split(tmp_path):
    root = write(tmp_path, "a/1.jpg", "b/2.jpg")
    found = pattern(root=root, pattern="{target}/*", split="test")
    assert labels(found) == {"a/1.jpg": ("test", "a", None), "b/2.jpg": ("test", "b", None)}
    field = pattern(root=root, pattern="{target}/{test:number}.*", split="test")
    assert field.split.tolist() == [1, 2]
    with pytest.raises(InputError, match=r"data\.pattern has no field \{exam\}"):
        pattern(root=root, pattern="{target}/*", split="exam")
