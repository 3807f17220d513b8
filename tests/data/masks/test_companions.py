"""Masks and fills belong to their images by name, with every loader that may have them, and what is
missing is said.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from debias.data.checks import check_examples
from debias.data.examples import Examples
from debias.data.masks.companions import mask_names, with_companions
from debias.data.sets.celeba import celeba
from debias.data.sets.folder import folder
from debias.data.sets.table import table
from debias.data.sets.waterbirds import waterbirds
from tests.data.sets.test_celeba import write_text
from tests.data.sets.test_waterbirds import write
from tests.data.small_pictures import small_examples, touch


def csv_of(root: Path) -> str:
    rows = ["path,target,bias,split,mask", "a/1.jpg,0,0,train,x.png", "a/2.jpeg,1,0,val,"]
    (root / "mine.csv").write_text("\n".join(rows))
    return str(root / "mine.csv")


def test_a_mask_is_named_like_its_image_whatever_the_image_s_suffix() -> None:
    assert mask_names(["a.b/1.2.jpg", "3.PNG", "c/4"]) == ("a.b/1.2.png", "3.png", "c/4.png")


def test_waterbirds(tmp_path: Path) -> None:
    root = str(write(tmp_path / "data"))
    names = ["001.Albatross/a.png", "001.Albatross/b.jpg", "002.Wren/c.png", "002.Wren/d.jpg"]
    examples = waterbirds(root=root, fills=touch(tmp_path / "fills", *names))
    assert (examples.fill_root, examples.fills) == (tmp_path / "fills", tuple(names))
    assert examples.masks == ()


def test_celeba(tmp_path: Path) -> None:
    masks = touch(tmp_path / "masks", "000001.png", "000003.png")
    fills = touch(tmp_path / "fills", *(f"00000{number}.jpg" for number in (1, 2, 3)))
    examples = celeba(root=write_text(tmp_path), masks=masks, fills=fills)
    assert (examples.mask_root, examples.masks) == (
        tmp_path / "masks",
        ("000001.png", "", "000003.png"),
    )
    assert (examples.fill_root, examples.fills) == (
        tmp_path / "fills",
        ("000001.jpg", "000002.jpg", "000003.jpg"),
    )


def test_table(tmp_path: Path) -> None:
    """By a folder, or by a column, but not by both."""
    masks = touch(tmp_path / "masks", "a/1.png", "a/2.png")
    examples = table(csv=csv_of(tmp_path), masks=masks, fills=masks)
    assert (examples.mask_root, examples.masks) == (tmp_path / "masks", ("a/1.png", "a/2.png"))
    assert examples.fills == examples.masks
    assert table(csv=csv_of(tmp_path), mask="mask", fills=masks).masks == ("x.png", "")
    with pytest.raises(
        ValueError, match=r"masks are given twice, by mask=mask and masks=.*masks: leave one"
    ):
        table(csv=csv_of(tmp_path), mask="mask", masks=masks)


def test_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "tree", "train/cat/day/1.jpg", "val/cat/day/2.jpg")
    masks = touch(tmp_path / "masks", "train/cat/day/1.png")
    examples = folder(
        root=root, masks=masks, fills=touch(tmp_path / "fills", "train/cat/day/1.png")
    )
    assert examples.masks == ("train/cat/day/1.png", "")
    # the check of the data set misses the second
    assert examples.fills == ("train/cat/day/1.png", "val/cat/day/2.png")


@pytest.mark.parametrize(("option", "kind"), [("masks", "mask"), ("fills", "fill")])
def test_a_folder_that_is_not_there_or_fits_no_image(
    tmp_path: Path, option: str, kind: str
) -> None:
    with pytest.raises(ValueError, match=rf"no folder of {option} .*nowhere: correct the path"):
        table(csv=csv_of(tmp_path), **{option: str(tmp_path / "nowhere")})
    with pytest.raises(
        ValueError, match=rf"has no {kind} of any image: expected files such as .*a/1\.png"
    ):
        table(csv=csv_of(tmp_path), **{option: str(tmp_path)})


def test_a_png_is_taken_before_a_jpg(tmp_path: Path) -> None:
    fills = touch(tmp_path / "fills", "a/1.png", "a/1.jpg", "a/2.jpg")
    assert table(csv=csv_of(tmp_path), fills=fills).fills == ("a/1.png", "a/2.jpg")


def with_fills(folder: Path, *missing: int) -> Examples:
    examples = small_examples(folder)
    touch(
        folder / "fills", *(name for row, name in enumerate(examples.images) if row not in missing)
    )
    return with_companions(examples, masks=None, fills=folder / "fills")


def test_a_missing_fill_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    check_examples(with_fills(tmp_path / "whole"))
    with pytest.raises(ValueError, match=r"2 of 12 fills are not in .*fills: 3\.png, 7\.png\."):
        check_examples(with_fills(tmp_path / "torn", 3, 7))


def test_a_fill_may_not_leave_its_root(tmp_path: Path) -> None:
    examples = with_fills(tmp_path)
    with pytest.raises(ValueError, match=r"1 paths leave the root .*row 1 "):
        check_examples(replace(examples, fills=("../0.png", *examples.fills[1:])))
