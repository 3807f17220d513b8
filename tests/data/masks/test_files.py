"""Folders of masks are written whole, continued, never mixed, and described by what is in them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from debias.data.masks.files import SETTINGS, MaskRecord, claimed, read_written, write_masks
from debias.data.masks.grabcut import Made, Pixels
from debias.data.pictures.contact_sheet import TILE, contact_sheet, spread
from tests.data.small_pictures import noise, small_examples

SETTING = {"method": "boxes", "source": "b.csv"}


def corner(row: int, image: Pixels) -> Made:
    """The first ``row`` rows of the picture, found unless the row is 2."""
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[:row] = 255
    return Made(mask, row != 2)


def test_masks_are_written_where_loaders_look_and_described(tmp_path: Path) -> None:
    """Of 12 rows of the picture, row r's mask has r."""
    examples = replace(
        small_examples(tmp_path, masks=False), images=tuple(f"{row}.png" for row in range(12))
    )
    records = write_masks(examples, [0, 2, 11], corner, tmp_path / "out", threads=3)
    assert records == [
        MaskRecord(0, "0.png", "made", 0.0),
        MaskRecord(2, "2.png", "fallback", 2 / 12),
        MaskRecord(11, "11.png", "made", 11 / 12),
    ]
    assert [record.remark for record in records] == ["empty", "", "large"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "0.png",
        "11.png",
        "2.png",
    ]
    image, mask = read_written(examples, 2, tmp_path / "out")
    assert (image == noise(2)).all()
    assert (mask == corner(2, image).mask).all()


@pytest.mark.parametrize(
    ("share", "remark"),
    [(0, "empty"), (0.0049, "small"), (0.005, ""), (0.79, ""), (0.8, "large"), (1, "full")],
)
def test_remarks(share: float, remark: str) -> None:
    assert MaskRecord(0, "a.jpg", "made", share).remark == remark


def test_an_interrupted_call_is_gone_on_with(tmp_path: Path) -> None:
    """It fails at row 3; the next call makes only what is left, and says what the others are."""
    examples, out = small_examples(tmp_path, masks=False), tmp_path / "out"

    def failing(row: int, image: Pixels) -> Made:
        if row == 3:
            raise ValueError("bad row")
        return corner(row, image)

    with pytest.raises(ValueError, match="bad row"):
        write_masks(examples, [1, 2, 3, 4], failing, out)
    assert (out / "2.png").is_file()
    assert not list(out.glob("*.tmp"))
    (out / "4.png").unlink(missing_ok=True)
    asked: list[int] = []
    records = write_masks(
        examples, [1, 2, 3, 4], lambda row, image: asked.append(row) or corner(row, image), out
    )
    assert asked == [3, 4]
    assert [record.how for record in records] == ["kept", "kept", "made", "made"]
    assert [round(12 * record.share) for record in records] == [1, 2, 3, 4]


def test_overwriting_makes_all_anew(tmp_path: Path) -> None:
    examples = small_examples(tmp_path, masks=False)
    write_masks(examples, [1], corner, tmp_path / "out")
    full = lambda row, image: Made(np.full(image.shape[:2], 255, np.uint8), True)  # noqa: E731
    (record,) = write_masks(examples, [1], full, tmp_path / "out", overwrite=True)
    assert (record.how, record.remark) == ("made", "full")
    assert read_written(examples, 1, tmp_path / "out")[1].all()


def test_images_that_would_share_a_mask_are_refused(tmp_path: Path) -> None:
    examples = replace(
        small_examples(tmp_path, masks=False), images=("a/0.jpg", "a/0.png", *("x",) * 10)
    )
    with pytest.raises(ValueError, match=r"several images would share the mask a/0\.png"):
        write_masks(examples, [0, 1], corner, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_settings_or_of_a_stranger_is_left_alone(tmp_path: Path) -> None:
    with claimed(tmp_path / "out", SETTING):
        pass
    with claimed(tmp_path / "out", SETTING):
        pass
    with pytest.raises(
        ValueError, match=r"contains masks made with .*boxes.*: set another out, or overwrite=true"
    ):
        claimed(tmp_path / "out", {"method": "gradcam"}).__enter__()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.png").touch()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"mine contains files that debias did not make"):
            claimed(tmp_path / "mine", SETTING, overwrite=overwrite).__enter__()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["a.png"]


def test_an_interrupted_overwriting_is_not_taken_for_either(tmp_path: Path) -> None:
    other = {"method": "gradcam"}
    with claimed(tmp_path / "out", SETTING):
        pass
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "out", other, overwrite=True):
        raise KeyboardInterrupt
    for settings in (SETTING, other):
        with pytest.raises(ValueError, match="overwriting"):
            claimed(tmp_path / "out", settings).__enter__()
    with claimed(tmp_path / "out", other, overwrite=True):
        pass
    assert json.loads((tmp_path / "out" / SETTINGS).read_text()) == other


def test_a_contact_sheet_has_a_tile_for_each_picture_and_outlines_its_mask() -> None:
    """Seven black pictures in two rows of tiles. Only the half mask has an outline, magenta."""
    black, half = np.zeros((30, 60, 3), np.uint8), np.zeros((30, 60), np.uint8)
    half[:, :30] = 255
    sheet = contact_sheet([(black, half), *[(black, np.zeros((30, 60), np.uint8))] * 6])
    assert sheet.shape == (2 * TILE, 6 * TILE, 3)
    magenta = (sheet == (255, 0, 255)).all(axis=2)
    rows, columns = np.nonzero(magenta)
    assert columns.max() <= TILE // 2 + 1
    assert columns.min() <= 3
    assert rows.max() - rows.min() == pytest.approx(TILE * 30 / 60, abs=4)


def test_pictures_for_the_sheet_are_spread_evenly() -> None:
    assert spread(list(range(10, 20)), 5) == [10, 12, 14, 16, 18]
    assert spread([1, 2], 5) == [1, 2]
    assert spread([], 5) == []
