"""Waterbirds in the release's layout, in WILDS's, with masks, and with every mistake that a
metadata file can hold.
"""

from pathlib import Path

import pytest

from debias.data.sets.waterbirds import waterbirds
from tests.data.small_pictures import touch

HEADER = "img_id,img_filename,y,split,place,place_filename"
ROWS = [
    "1,001.Albatross/a.jpg,1,0,0,/b/1.jpg",
    "2,001.Albatross/b.jpg,1,1,1,/o/2.jpg",
    "3,002.Wren/c.jpg,0,2,1,/o/3.jpg",
    "4,002.Wren/d.jpg,0,0,0,/b/4.jpg",
]


def write(folder, rows=ROWS, header=HEADER):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def write_masks(folder, names):
    return Path(touch(folder, *names))


def test_values(tmp_path):
    examples = waterbirds(root=str(write(tmp_path)))
    assert examples.images == (
        "001.Albatross/a.jpg",
        "001.Albatross/b.jpg",
        "002.Wren/c.jpg",
        "002.Wren/d.jpg",
    )
    assert examples.target.tolist() == [1, 1, 0, 0]
    assert examples.bias.tolist() == [0, 1, 1, 0]
    assert examples.split.tolist() == [0, 1, 2, 0]
    assert examples.frequencies("train").tolist() == [1, 0, 1, 0]
    assert examples.groups.names == (
        "landbird-land",
        "landbird-water",
        "waterbird-land",
        "waterbird-water",
    )
    assert examples.groups.aligned == ((0, 0), (1, 1))
    assert (examples.root, examples.source) == (tmp_path, tmp_path / "metadata.csv")
    assert (examples.mask_root, examples.masks, examples.provides) == (None, (), ("bias",))


@pytest.mark.parametrize("release", ["waterbird_complete95_forest2water2", "waterbirds_v1.0"])
def test_root_may_be_the_parent(tmp_path, release):
    folder = write(tmp_path / release)
    assert waterbirds(root=str(tmp_path)).root == folder


@pytest.mark.parametrize(
    "place", ["data/segmentations", "data/waterbirds_v1.0/segmentations", "segmentations"]
)
def test_masks_are_found_inside_and_beside(tmp_path, place):
    write(tmp_path / "data" / "waterbirds_v1.0")
    masks = write_masks(tmp_path / place, ["001.Albatross/a.png", "002.Wren/d.png"])
    examples = waterbirds(root=str(tmp_path / "data"))
    assert examples.mask_root == masks
    assert examples.masks == ("001.Albatross/a.png", "", "", "002.Wren/d.png")
    assert examples.provides == ("bias", "mask")  # both training images have theirs


def test_masks_are_found_beside_the_working_folder(tmp_path, monkeypatch):
    write_masks(tmp_path / "segmentations", ["001.Albatross/a.png"])
    monkeypatch.chdir(write(tmp_path / "waterbirds_v1.0"))
    assert waterbirds(root=".").masks == ("001.Albatross/a.png", "", "", "")


def test_masks_by_path(tmp_path):
    masks = write_masks(tmp_path / "elsewhere", ["002.Wren/c.png"])
    examples = waterbirds(root=str(write(tmp_path / "data")), masks=str(masks))
    assert examples.masks == ("", "", "002.Wren/c.png", "")


def test_given_masks_must_be_there_and_fit(tmp_path):
    root = str(write(tmp_path / "data"))
    with pytest.raises(ValueError, match=r"no folder of masks .*nowhere"):
        waterbirds(root=root, masks=str(tmp_path / "nowhere"))
    with pytest.raises(
        ValueError,
        match=r"has no mask of any image: expected files such as .*\.Albatross/a\.png",
    ):
        waterbirds(root=root, masks=str(tmp_path))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("9,x/a.jpg,two,0,0,p", r"metadata\.csv, line 6: y is 'two', but must be an integer"),
        ("9,x/a.jpg,0.5,0,0,p", r"line 6: y is '0\.5', but must be an integer"),
        ("9,x/a.jpg,0,0,,p", r"line 6: place is '', but must be an integer"),
        ("9,x/a.jpg,0,3,0,p", r"line 6: split is '3', but must be one of train, val"),
        ("9,,0,0,0,p", r"line 6: img_filename is '', but must be the path"),
        ("9,x/a.jpg,0,0,0", r"line 6: 5 columns, but the header has 6"),
    ],
)
def test_bad_row_is_named(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        waterbirds(root=str(write(tmp_path, [*ROWS, row])))


def test_line_is_the_one_in_the_file_even_after_a_blank_one(tmp_path):
    with pytest.raises(ValueError, match=r"line 7: y is 'two'"):
        waterbirds(root=str(write(tmp_path, [*ROWS, "", "9,x/a.jpg,two,0,0,p"])))


def test_missing_column_names_the_near_miss(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'img_filename'; did you mean 'img_filenames'"):
        waterbirds(root=str(write(tmp_path, header=HEADER.replace("filename,y", "filenames,y"))))


def test_no_metadata(tmp_path):
    with pytest.raises(ValueError, match=r"no metadata\.csv in .* set root"):
        waterbirds(root=str(tmp_path))


@pytest.mark.parametrize("root", ["", "waterbird_complete95_forest2water2"])
def test_the_real_set(shared, root):
    """Group counts as published with the release."""
    examples = waterbirds(root=str(shared / "data" / root))
    assert examples.frequencies("train").tolist() == [3498, 184, 56, 1057]
    assert examples.frequencies("val").tolist() == [467, 466, 133, 133]
    assert examples.frequencies("test").tolist() == [2255, 2255, 642, 642]
    assert examples.mask_root == shared / "data" / "segmentations"
    assert examples.provides == ("bias", "mask")
    assert "" not in examples.masks
