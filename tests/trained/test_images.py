"""Which pictures a place has, and what is done with those that cannot be read."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from debias.data.pictures.geometry import Geometry, Resize
from debias.errors import InputError
from debias.trained.images import find, read, shaped
from tests.data.small_pictures import noise, write_png

SQUARE = Geometry((Resize(4, 4),), 4, 4)


@pytest.fixture
def photos(tmp_path):
    for name in ("b.png", "a/c.png", ".hidden/d.png", "a.png"):
        write_png(tmp_path / name, noise(len(name)))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_folder_has_the_pictures_of_every_depth_but_no_hidden_ones(photos):
    names = [path.relative_to(photos).as_posix() for path in find(photos)]
    assert names == ["a/c.png", "a.png", "b.png"]


def test_a_pattern_and_a_file(photos):
    assert [path.name for path in find(f"{photos}/*.png")] == ["a.png", "b.png"]
    assert [path.name for path in find(f"{photos}/**/c.png")] == ["c.png"]
    assert find(photos / "notes.txt") == [photos / "notes.txt"]


def test_a_place_without_pictures_is_an_error(photos):
    (photos / "empty").mkdir()
    for place in (photos / "empty", photos / "*.gif", photos / "absent.png"):
        with pytest.raises(InputError, match=r"no pictures in .*: give a folder"):
            find(place)


def test_an_unreadable_file_keeps_its_name_and_has_a_reason(photos):
    (photos / "a.png").write_bytes(b"no picture")
    (batch,) = read([photos / "a.png", photos / "b.png"], SQUARE, batch_size=9, workers=0)
    assert batch.names == (f"{photos}/a.png", f"{photos}/b.png")
    assert "cannot be decoded" in batch.reasons[0]
    assert batch.reasons[1] == ""
    expected = torch.from_numpy(SQUARE.image(noise(5))).permute(2, 0, 1)
    assert torch.equal(batch.image[1], expected)


def test_a_picture_is_the_same_from_a_file_from_pil_and_from_an_array(photos):
    pixels = noise(5)
    expected = torch.from_numpy(SQUARE.image(pixels)).permute(2, 0, 1)
    grey = Image.fromarray(pixels[..., 0])
    for picture in (photos / "b.png", str(photos / "b.png"), Image.fromarray(pixels), pixels):
        assert torch.equal(shaped(picture, SQUARE), expected)
    assert shaped(grey, SQUARE).shape == (3, 4, 4)


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((4, 4, 1), np.uint8), 3]
)
def test_other_objects_are_no_pictures(picture):
    with pytest.raises(InputError, match="a picture must be"):
        shaped(picture, SQUARE)


def test_batches_of_a_loader_are_named_by_their_positions():
    image = torch.arange(5 * 3 * 4 * 4).view(5, 3, 4, 4).float()
    loader = DataLoader(TensorDataset(image, torch.zeros(5)), batch_size=2)
    batches = [*read(loader, SQUARE, batch_size=1, workers=0)]
    assert [batch.names for batch in batches] == [("0", "1"), ("2", "3"), ("4",)]
    assert torch.equal(torch.cat([batch.image for batch in batches]), image)
    size = r"images \(N, 3, H, W\) of the model's size \(3, 4, 4\)"
    with pytest.raises(InputError, match=rf"{size}; got \(5,\): give files"):
        [*read(torch.zeros(5), SQUARE, batch_size=9, workers=0)]
    with pytest.raises(InputError, match=rf"{size}; got \(2, 3, 4, 5\)"):
        [*read(torch.zeros(2, 3, 4, 5), SQUARE, batch_size=9, workers=0)]


def test_an_array_without_channels_is_one_picture_with_a_reason():
    (batch,) = read(np.zeros((5, 5), np.uint8), SQUARE, batch_size=9, workers=0)
    assert "must be a path, a PIL.Image or (H, W, 3) uint8; got uint8 (5, 5)" in batch.reasons[0]
