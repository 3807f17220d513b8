"""Hints for masks are read from CSV and from CUB's tables, and each mistake in them is one error
that names it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from debias.data.examples import Examples
from debias.data.masks.hints import read_boxes, read_points
from debias.data.masks.makers import boxes, existing, keypoints
from tests.data.small_pictures import noise, small_examples, write_png


def written(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def three(tmp_path: Path) -> Examples:
    """Three pictures of width 10 and height 12, without masks."""
    return small_examples(tmp_path, train=1, val=1, test=1, masks=False)


def test_boxes_of_a_csv_file(tmp_path: Path) -> None:
    """Columns in any order, several boxes an image, others' rows passed on."""
    source = written(
        tmp_path / "b.csv",
        "width,path,x,y,height",
        "3,a.jpg,1,2,4.5",
        "1,b.jpg,0,0,1",
        "5,a.jpg,6,7,8",
    )
    hints = read_boxes(source)
    assert {name: values.tolist() for name, values in hints.items()} == {
        "a.jpg": [[1, 2, 3, 4.5], [6, 7, 5, 8]],
        "b.jpg": [[0, 0, 1, 1]],
    }


def test_cub_s_tables(tmp_path: Path) -> None:
    """Part 2 of image 1 is not visible; the parts lie a folder below the list of images."""
    written(tmp_path / "images.txt", "1 001.A/a.jpg", "2 002.B/b.jpg")
    hints = read_boxes(
        written(tmp_path / "bounding_boxes.txt", "1 60.0 27.0 325.0 304.0", "2 1.0 2.0 3.0 4.0")
    )
    assert {name: values.tolist() for name, values in hints.items()} == {
        "001.A/a.jpg": [[60, 27, 325, 304]],
        "002.B/b.jpg": [[1, 2, 3, 4]],
    }
    parts = written(
        tmp_path / "parts/part_locs.txt",
        "1 1 312.0 182.0 1",
        "1 2 0.0 0.0 0",
        "1 3 5.5 6.5 1",
        "2 1 7 8 1",
    )
    assert {name: values.tolist() for name, values in read_points(parts).items()} == {
        "001.A/a.jpg": [[312, 182], [5.5, 6.5]],
        "002.B/b.jpg": [[7, 8]],
    }


def test_cub_s_tables_need_the_list_of_images(tmp_path: Path) -> None:
    source = written(tmp_path / "deep/down/bounding_boxes.txt", "3 1 2 3 4")
    with pytest.raises(ValueError, match=r"no images\.txt beside or above .*bounding_boxes\.txt"):
        read_boxes(source)
    written(tmp_path / "deep/images.txt", "1 a.jpg")
    with pytest.raises(
        ValueError, match=r"bounding_boxes\.txt, line 1: image is '3', which .*images\.txt does not"
    ):
        read_boxes(source)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,1,2,x,4", r"line 2: width is 'x', but must be a finite number"),
        ("a.jpg,nan,2,3,4", r"line 2: x is 'nan', but must be a finite number"),
        ("a.jpg,1,2,3,0", r"line 2: height is '0', but must be positive"),
        ("a.jpg,1,2,3", r"line 2: 4 columns, but the header has 5"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_boxes(written(tmp_path / "b.csv", "path,x,y,width,height", row))


def test_images_without_hint_are_counted_and_named_before_any_is_read(
    three: Examples, tmp_path: Path
) -> None:
    source = str(written(tmp_path / "b.csv", "path,x,y,width,height", "1.png,1,2,3,4"))
    with pytest.raises(
        ValueError, match=r"b\.csv has no box for 2 of 3 images: 0\.png, 2\.png\. Add them with"
    ):
        boxes(three, [0, 1, 2], source=source)
    boxes(three, [1], source=source)
    source = str(written(tmp_path / "p.csv", "path,x,y", "1.png,1,2"))
    with pytest.raises(ValueError, match=r"p\.csv has no keypoint for 1 of 1 images: 2\.png"):
        keypoints(three, [2], source=source)


@pytest.mark.parametrize("box", ["1,2,11,4", "-2,2,3,4", "1,2,3,12", "1,14,3,1"])
def test_a_box_outside_its_picture(three: Examples, tmp_path: Path, box: str) -> None:
    source = str(
        written(tmp_path / "b.csv", "path,x,y,width,height", "0.png,1,1,2,2", f"0.png,{box}")
    )
    make = boxes(three, [0], source=source)
    message = (
        rf"b\.csv: \({box.replace(',', ', ')}\) of 0\.png lies outside the picture, .* 10x12: "
        r"correct the row"
    )
    with pytest.raises(ValueError, match=message):
        make(0, noise(0))


def test_a_box_that_was_rounded_outwards_is_cut_to_the_picture(
    three: Examples, tmp_path: Path
) -> None:
    """By a pixel on each side; a box around everything leaves no background: a full mask."""
    source = str(written(tmp_path / "b.csv", "path,x,y,width,height", "0.png,-1,-0.5,12,13"))
    made = boxes(three, [0], source=source)(0, noise(0))
    assert made.mask.shape == (12, 10)
    assert made.mask.all()
    assert not made.found


def test_a_point_outside_its_picture(three: Examples, tmp_path: Path) -> None:
    source = str(written(tmp_path / "p.csv", "path,x,y", "0.png,3,3", "0.png,9,30"))
    with pytest.raises(ValueError, match=r"p\.csv: \(9, 30\) of 0\.png lies outside the picture"):
        keypoints(three, [0], source=source)(0, noise(0))


def test_makers_cut_by_the_hints_of_their_row(tmp_path: Path) -> None:
    """A white square on black, in another place in each picture; GrabCut finds it exactly."""
    examples = small_examples(tmp_path, train=1, val=1, test=1, masks=False)
    rows, places = ["path,x,y,width,height"], ["path,x,y"]
    images = []
    for row, (left, top) in enumerate([(4, 4), (20, 10), (10, 22)]):
        image = np.random.default_rng(row).integers(0, 20, (40, 40, 3), dtype=np.uint8)
        image[top : top + 12, left : left + 12] += 200
        images.append(image)
        rows.append(f"{row}.png,{left - 2},{top - 2},16,16")
        places += [f"{row}.png,{left + x},{top + y}" for x in (1, 6, 10) for y in (1, 6, 10)]
    for maker, lines in ((boxes, rows), (keypoints, places)):
        make = maker(examples, [0, 1, 2], source=str(written(tmp_path / "hints.csv", *lines)))
        for row, image in enumerate(images):
            made = make(row, image)
            assert made.found
            assert ((made.mask > 0) == (image[..., 0] >= 200)).all()


def test_masks_that_exist_by_folder_and_by_list(three: Examples, tmp_path: Path) -> None:
    """Foreground from 128 on, or another threshold; zeros and ones count as black and white."""
    mask = np.tile(np.uint8([0, 100, 127, 128, 255]), (12, 2))
    write_png(tmp_path / "old/0.png", mask)
    write_png(tmp_path / "old/other.png", (mask >= 128).astype(np.uint8))
    make = existing(three, [0], source=str(tmp_path / "old"))
    assert make(0, noise(0)).mask[0].tolist() == [0, 0, 0, 255, 255] * 2
    make = existing(three, [0], source=str(tmp_path / "old"), threshold=100)
    assert make(0, noise(0)).mask[0].tolist() == [0, 255, 255, 255, 255] * 2
    make = existing(
        three,
        [0, 1],
        source=str(
            written(tmp_path / "m.csv", "path,mask", "0.png,old/0.png", "1.png,old/other.png")
        ),
    )
    assert make(1, noise(1)).mask[0].tolist() == [0, 0, 0, 255, 255] * 2


def test_masks_of_class_numbers_need_a_threshold(three: Examples, tmp_path: Path) -> None:
    write_png(tmp_path / "old/0.png", np.tile(np.uint8([0, 1, 2, 2, 0]), (12, 2)))
    make = existing(three, [0], source=str(tmp_path / "old"), threshold=1)
    assert make(0, noise(0)).mask[0].tolist() == [0, 255, 255, 255, 0] * 2
    with pytest.raises(
        ValueError, match="has no foreground from 128 on, but values 1, 2, which look like class"
    ):
        existing(three, [0], source=str(tmp_path / "old"))(0, noise(0))


def test_masks_that_do_not_exist_or_do_not_fit(three: Examples, tmp_path: Path) -> None:
    write_png(tmp_path / "old/0.png", np.zeros((10, 12), np.uint8))
    with pytest.raises(ValueError, match=r"old has no mask for 1 of 2 images: 1\.png"):
        existing(three, [0, 1], source=str(tmp_path / "old"))
    with pytest.raises(ValueError, match=r"m\.csv has no mask for 1 of 2 images: 1\.png"):
        existing(
            three,
            [0, 1],
            source=str(written(tmp_path / "m.csv", "path,mask", "0.png,old/0.png", "1.png,")),
        )
    with pytest.raises(ValueError, match=r"no folder and no CSV file .*nowhere"):
        existing(three, [0], source=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"a brightness from 1 to 255; got threshold=0"):
        existing(three, [0], source=str(tmp_path / "old"), threshold=0)
    with pytest.raises(
        ValueError, match=r"old/0\.png has width x height 12x10, but its image, upright, 10x12"
    ):
        existing(three, [0], source=str(tmp_path / "old"))(0, noise(0))


def test_paths_are_those_of_the_data_set(three: Examples, tmp_path: Path) -> None:
    nested = replace(three, images=("a/0.png", "b/0.png", "2.png"))
    source = str(
        written(tmp_path / "b.csv", "path,x,y,width,height", "a/0.png,1,1,2,2", "0.png,1,1,2,2")
    )
    with pytest.raises(ValueError, match=r"no box for 1 of 2 images: b/0\.png"):
        boxes(nested, [0, 1], source=source)
