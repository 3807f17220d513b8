"""Each thing that can be wrong with a data set is found, named and told how to mend; a sound one
passes in silence.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from debias.data.checks import check_examples, check_requirements, check_rows
from debias.data.examples import Examples
from debias.types import Groups

# One training image of each group, then a validation and a test image.
IMAGES = ("a/0.jpg", "a/1.jpg", "b/2.jpg", "b/3.jpg", "a/4.jpg", "b/5.jpg")


@pytest.fixture
def sound(tmp_path):
    for name in IMAGES:
        for folder, suffix in (("images", ".jpg"), ("masks", ".png")):
            path = (tmp_path / folder / name).with_suffix(suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return Examples(
        root=tmp_path / "images",
        images=IMAGES,
        target=torch.tensor([0, 0, 1, 1, 0, 1]),
        bias=torch.tensor([0, 1, 0, 1, 0, 1]),
        split=torch.tensor([0, 0, 0, 0, 1, 2]),
        groups=Groups(("cat", "dog"), ("grass", "snow")),
        source=Path("mine.csv"),
        mask_root=tmp_path / "masks",
        masks=tuple(name.replace("jpg", "png") for name in IMAGES),
    )


def changed(values, row, value):
    if isinstance(values, tuple):
        return (*values[:row], value, *values[row + 1 :])
    values = values.clone()
    values[row] = value
    return values


def test_sound_data_passes_in_silence(sound):
    """Warnings are errors in this suite, so that silence is tested too."""
    check_examples(sound, require=("bias", "mask"))


def test_missing_images_are_counted_and_the_first_shown(sound):
    for name in IMAGES[:5]:
        (sound.root / name).unlink()
    with pytest.raises(
        ValueError,
        match=r"5 of 6 images are not in .*: a/0\.jpg, a/1\.jpg, b/2\.jpg and 2 more\."
        r".*leave_out\.$",
    ):
        check_examples(sound)


def test_paths_of_windows_are_told(sound):
    images = ("a\\0.jpg", *IMAGES[1:])
    with pytest.raises(ValueError, match=r"1 of 6 images are not in .* Write / in place of \\\."):
        check_examples(replace(sound, images=images))


def test_a_folder_is_no_image(sound):
    (sound.root / IMAGES[0]).unlink()
    (sound.root / IMAGES[0]).mkdir()
    with pytest.raises(ValueError, match=r"1 of 6 images are not in"):
        check_examples(sound)


def test_missing_root(sound, tmp_path):
    with pytest.raises(ValueError, match=r"6 of 6 images are not in .*nowhere"):
        check_examples(replace(sound, root=tmp_path / "nowhere"))


def test_missing_masks(sound):
    (sound.mask_root / "b/3.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 6 masks are not in .*masks: b/3\.png\."):
        check_examples(sound)


@pytest.mark.parametrize("split", ["train", "test"])
def test_repeated_image(sound, split):
    """Row 2 names the image of row 1, or the test image (row 6) the first training image's."""
    row = {"train": 1, "test": 5}[split]
    with pytest.raises(
        ValueError, match=rf"1 rows repeat .*: row {row + 1} \(a/\./0\.jpg\)\. Keep one row"
    ):
        check_examples(replace(sound, images=changed(IMAGES, row, "a/./0.jpg")))


def test_people_of_one_picture_are_rows_of_an_evaluation(sound):
    """FACET has a row per person. In training, a repeated image is a mistake."""
    people = replace(sound, images=changed(sound.images, 1, IMAGES[0]))
    check_rows(replace(people, split=torch.full_like(sound.split, 2)))
    with pytest.raises(ValueError, match="1 rows repeat the image of an earlier row"):
        check_rows(people)


@pytest.mark.parametrize(
    "path", ["../images/a/0.jpg", "a/../a/0.jpg", "/a/0.jpg", "C:/a/0.jpg", "..\\a\\0.jpg"]
)
@pytest.mark.parametrize("field", ["images", "masks"])
def test_path_that_leaves_the_root(sound, path, field):
    with pytest.raises(ValueError, match=r"1 paths leave the root .*: row 3 \(.*without '\.\.'"):
        check_examples(replace(sound, **{field: changed(getattr(sound, field), 2, path)}))


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_link_to_a_folder_outside_the_root(sound, tmp_path, kind):
    """Three of six lie in the folder ``a``, which is a link now; an option allows it."""
    (tmp_path / kind / "a").rename(tmp_path / "disk")
    (tmp_path / kind / "a").symlink_to(tmp_path / "disk")
    message = (
        rf"links lead 3 of 6 {kind} out of the root .*{kind}: row 1 \(a/0\.jpg\), .*Set "
        r"data\.follow_links=true"
    )
    with pytest.raises(ValueError, match=message):
        check_examples(sound)
    check_examples(replace(sound, follow_links=True))


def test_a_link_to_a_file_outside_the_root(sound, tmp_path):
    """Also by two links one after the other, of which the first stays inside."""
    (sound.root / "b/3.jpg").rename(tmp_path / "3.jpg")
    (sound.root / "there").symlink_to(tmp_path)
    (sound.root / "b/3.jpg").symlink_to("../there/3.jpg")
    with pytest.raises(
        ValueError, match=r"links lead 1 of 6 images out of the root .*: row 4 \(b/3\.jpg\)\."
    ):
        check_examples(sound)
    check_examples(replace(sound, follow_links=True))


def test_links_inside_the_root_and_a_root_that_is_a_link(sound, tmp_path):
    """Folders whose names begin alike are not one inside the other."""
    (tmp_path / "images").rename(tmp_path / "real")
    (tmp_path / "images").symlink_to(tmp_path / "real")
    (tmp_path / "real/a").rename(tmp_path / "real/c")
    (tmp_path / "real/a").symlink_to("c")
    (tmp_path / "real/c/1.jpg").unlink()
    (tmp_path / "real/c/1.jpg").symlink_to("../b/2.jpg")
    check_examples(sound)
    (tmp_path / "real/c").rename(tmp_path / "real2")
    (tmp_path / "real/a").unlink()
    (tmp_path / "real/a").symlink_to(tmp_path / "real2")
    with pytest.raises(ValueError, match="out of the root"):
        check_examples(sound)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("target", 2, r"1 rows have a target outside 0 to 1 \(2\): row 2 \(a/1\.jpg\)\."),
        ("target", -1, r"1 rows have a target outside 0 to 1 \(-1\): row 2"),
        ("bias", 5, r"1 rows have a bias outside -1 to 1 \(5\): row 2"),
        ("split", 3, r"1 rows have a split outside 0 to 2 \(3\): row 2"),
    ],
)
def test_label_out_of_range(sound, field, value, message):
    with pytest.raises(ValueError, match=message):
        check_examples(replace(sound, **{field: changed(getattr(sound, field), 1, value)}))


def test_several_labels(sound):
    groups = Groups(("not x", "x", "not y", "y"), ("grass", "snow"), multi_label=True)
    target = torch.tensor([[0, 1], [0, 0], [1, 0], [1, 1], [0, 0], [1, 1]])
    labelled = replace(sound, target=target, groups=groups)
    check_examples(labelled, require=("bias",))
    with pytest.raises(ValueError, match=r"1 rows have a target outside 0 to 1 \(2\): row 4"):
        check_examples(replace(labelled, target=changed(target, 3, torch.tensor([1, 2]))))
    with pytest.raises(ValueError, match=r"no training image of y: add training images"):
        check_examples(replace(labelled, target=target * torch.tensor([1, 0])))


@pytest.mark.parametrize(("row", "name"), [(4, "val"), (5, "test")])
def test_empty_split(sound, row, name):
    with pytest.raises(
        ValueError, match=rf"no image in the split {name}: each of train, val, test needs"
    ):
        check_examples(replace(sound, split=changed(sound.split, row, 0)))


def test_single_class(sound):
    groups = Groups(("cat",), ("grass", "snow"))
    with pytest.raises(ValueError, match="a single class, cat: a classifier needs at least two"):
        check_examples(replace(sound, target=torch.zeros_like(sound.target), groups=groups))


def test_class_without_training_image(sound):
    with pytest.raises(
        ValueError,
        match="no training image of dog: add training images of the class, remove its rows, or "
        "number the classes from 0 without gaps",
    ):
        check_examples(replace(sound, target=torch.tensor([0, 0, 0, 0, 0, 1])))


def test_groups_are_not_called_empty_where_the_bias_of_training_is_unknown(sound, recwarn):
    check_examples(replace(sound, bias=torch.where(sound.split == 0, -1, sound.bias)))
    assert not recwarn.list


def test_empty_group_is_an_error_where_groups_are_needed_else_a_warning(sound):
    """Row 1 was the only training cat on snow; row 4 becomes one in validation."""
    lacking = replace(sound, bias=changed(changed(sound.bias, 1, 0), 4, 1))
    with pytest.warns(
        UserWarning, match=r"mine\.csv: no training image in cat-snow: a model cannot learn"
    ):
        check_examples(lacking)
    with pytest.raises(
        ValueError, match=r"no training image in cat-snow\. This method needs every group"
    ):
        check_examples(lacking, require=("bias", "groups"))
    with pytest.warns(UserWarning, match="a model cannot learn these groups"):
        check_examples(lacking, require=("bias",))


def test_a_group_of_no_split_cannot_exist_and_is_not_missed(sound, recwarn):
    lacking = replace(sound, bias=changed(sound.bias, 1, 0))
    assert lacking.occurring.tolist() == [True, False, True, True]
    check_examples(lacking, require=("bias", "groups"))
    assert not recwarn.list
    # inferred groups need each, because an earlier model made them
    with pytest.raises(ValueError, match=r"no training image in cat-snow\. This method"):
        check_requirements(lacking, ("groups",))


def test_unknown_bias_is_an_error_only_where_it_is_needed(sound):
    unknown = replace(sound, bias=torch.full((6,), -1))
    check_examples(unknown)
    with pytest.raises(
        ValueError,
        match=r"4 training images have no bias attribute: row 1 .* and 1 more\. This meth",
    ):
        check_examples(unknown, require=("bias",))
    # a test image needs none
    check_examples(replace(sound, bias=changed(sound.bias, 5, -1)), require=("bias",))


def test_one_bias_label_is_some(sound):
    train = sound.split == 0
    one = torch.where(train & (train.cumsum(0) > 1), -1, sound.bias)
    assert int((one[train] >= 0).sum()) == 1
    check_requirements(replace(sound, bias=one), ("some bias",))
    with pytest.raises(ValueError, match="no training image has a bias attribute"):
        check_requirements(replace(sound, bias=torch.where(train, -1, sound.bias)), ("some bias",))


def test_masks_are_needed_only_where_required(sound):
    without = replace(sound, masks=(), mask_root=None)
    check_examples(without)
    with pytest.raises(
        ValueError, match=r"4 training images have no mask: row 1 .* This method needs one"
    ):
        check_examples(without, require=("mask",))
    with pytest.raises(ValueError, match=r"1 training images have no mask: row 3 \(b/2\.jpg\)\."):
        check_examples(replace(sound, masks=changed(sound.masks, 2, "")), require=("mask",))


def test_everything_wrong_is_in_one_error(sound):
    (sound.root / IMAGES[0]).unlink()
    with pytest.raises(
        ValueError, match=r"(?s)^mine\.csv cannot be used: 1 rows have a target .*\. 1 of 6 images"
    ):
        check_examples(replace(sound, target=changed(sound.target, 5, 9)))
