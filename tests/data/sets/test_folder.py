"""A tree of folders of one's own."""

import os

import pytest
from PIL import Image

from debias.data.sets.folder import folder
from debias.data.tables.rules import SplitRules
from tests.data.small_pictures import touch as write


def test_with_bias(tmp_path):
    paths = (
        "train/dog/snow/1.jpg",
        "train/cat/grass/2.PNG",
        "validation/dog/grass/3.jpeg",
        "test/cat/snow/4.jpg",
    )
    examples = folder(root=write(tmp_path, *paths))
    assert examples.images == tuple(sorted(paths))  # test, train/cat, train/dog, validation
    assert examples.split.tolist() == [2, 0, 0, 1]
    assert examples.target.tolist() == [0, 0, 1, 1]
    assert examples.bias.tolist() == [1, 0, 1, 0]
    assert (examples.groups.target_names, examples.groups.bias_names) == (
        ("cat", "dog"),
        ("grass", "snow"),
    )
    assert (examples.root, examples.source, examples.provides) == (tmp_path, tmp_path, ("bias",))


@pytest.mark.parametrize(("suffix", "kind"), [("gif", "GIF"), ("JFIF", "JPEG"), ("jpe", "JPEG")])
def test_rarer_names_of_pictures(tmp_path, suffix, kind):
    path = tmp_path / f"train/cat/1.{suffix}"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (3, 2), (255, 255, 255)).save(path, format=kind)
    examples = folder(root=write(tmp_path, "train/dog/2.jpg"))
    assert examples.images == (f"train/cat/1.{suffix}", "train/dog/2.jpg")
    assert examples.store.read(0).tolist() == [[[255] * 3] * 3] * 2


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path, monkeypatch):
    write(
        tmp_path,
        "train/dog/1.jpg",
        "train/cat/2.jpg",
        "val/dog/3.jpg",
        "test/cat/4.jpg",
        "lost+found/5",
    )
    scandir, shut = os.scandir, ["lost+found"]

    def refused(place):
        if str(place).endswith(tuple(shut)):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refused)
    assert len(folder(root=str(tmp_path))) == 4
    shut.append("cat")
    with pytest.raises(
        ValueError,
        match=r"cannot read .*cat \(Permission denied\), and its images would be left out",
    ):
        folder(root=str(tmp_path))


def test_without_bias_and_mixed(tmp_path):
    write(tmp_path, "train/a/1.jpg", "val/b/2.jpg")
    examples = folder(root=str(tmp_path))
    assert examples.target.tolist() == [0, 1]
    assert examples.bias.tolist() == [-1, -1]
    assert (examples.groups.bias_names, examples.provides) == (("unknown",), ())
    write(tmp_path, "test/b/known/3.jpg")
    assert folder(root=str(tmp_path)).bias.tolist() == [0, -1, -1]


def test_other_files_are_passed_over(tmp_path):
    root = write(
        tmp_path,
        "train/a/1.jpg",
        "train/a/notes.txt",
        "train/a/.hidden.jpg",
        ".cache/x/y/1.jpg",
        "README.md",
    )
    assert folder(root=root).images == ("train/a/1.jpg",)


def test_a_link_to_a_folder_above_ends(tmp_path):
    write(tmp_path, "train/a/b/1.jpg")
    (tmp_path / "train" / "a" / "b" / "up").symlink_to(tmp_path)
    assert folder(root=str(tmp_path)).images == ("train/a/b/1.jpg",)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "dev/a/1.jpg",
            r"dev is not a split: name the folder train, val or test \(for dev/a/1\.jpg\)",
        ),
        ("1/a/1.jpg", r"1 is not a split: name the folder train, val or test \(for 1/a/1\.jpg\)"),
        ("1.jpg", r"1\.jpg is at the wrong depth"),
        (
            "cat/1.jpg",
            r"for another tree, set data\.name=pattern and its data\.pattern, as in {tar",
        ),
        (
            "train/1.jpg",
            r"train/1\.jpg is at the wrong depth: expected <split>/<target>/<bias>/<image>",
        ),
        ("train/a/b/c/1.jpg", r"train/a/b/c/1\.jpg is at the wrong depth"),
    ],
)
def test_misplaced_images(tmp_path, path, message):
    with pytest.raises(ValueError, match=message):
        folder(root=write(tmp_path, "train/a/0.jpg", path))


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match="no image in"):
        folder(root=str(tmp_path))
    with pytest.raises(ValueError, match=r"no folder .*nowhere"):
        folder(root=str(tmp_path / "nowhere"))


def test_validation_is_held_out_of_a_tree_without_it(tmp_path, capsys):
    """Of each group of ten images, one; the test images stay."""
    groups = [f"train/{target}/{bias}" for target in ("cat", "dog") for bias in ("day", "night")]
    paths = [f"{group}/{image}.jpg" for group in groups for image in range(10)]
    found = folder(root=write(tmp_path, *paths, "test/cat/day/0.jpg"))
    assert found.frequencies("train").tolist() == [9] * 4
    assert found.frequencies("val").tolist() == [1] * 4
    assert found.images[0] == "test/cat/day/0.jpg"
    assert found.split[0] == 2
    assert "no validation row: 4 of 40 training rows are held out" in capsys.readouterr().err
    assert len(folder(root=str(tmp_path), rules=SplitRules(holdout=0)).rows("val")) == 0
