"""Folders of pictures in memory: order, shape, what is ignored, room, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from debias.data.pictures.picture_folder import read_folder
from debias.data.pictures.preprocessing import resize

GEOMETRY = resize(size=4).evaluation


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for number, name in enumerate(["b.png", "a.jpg", "deep/er/c.PNG", ".hidden/d.png", "e.txt"]):
        picture = Image.fromarray(np.full((9, 7, 3), 50 * number, np.uint8))
        picture.save(tmp_path / name, format="JPEG" if name == "a.jpg" else "PNG")
    return tmp_path


def test_pictures_at_any_depth_in_the_order_of_their_paths(folder):
    pictures = read_folder(str(folder), geometry=GEOMETRY)
    assert pictures.shape == (3, 3, 4, 4)
    assert pictures.dtype == torch.uint8
    assert pictures.is_contiguous()
    assert pictures[:, 0, 0, 0].tolist() == [50, 0, 100]
    (folder / "deep").rename(folder / ".hidden/deep")
    (folder / "deep").symlink_to(folder / ".hidden/deep")
    assert torch.equal(read_folder(str(folder), geometry=GEOMETRY), pictures)


def test_only_as_many_as_fit_evenly_spaced(folder, capsys):
    pictures = read_folder(str(folder), geometry=GEOMETRY, most_bytes=2 * 48 + 1)
    assert pictures[:, 0, 0, 0].tolist() == [50, 0]
    assert "2 of its 3 pictures" in capsys.readouterr().err


def test_refuses(folder):
    with pytest.raises(ValueError, match=r"no folder of pictures nowhere: correct the path"):
        read_folder("nowhere", geometry=GEOMETRY)
    (folder / ".hidden" / "d.png").unlink()
    with pytest.raises(ValueError, match=r"no picture below .*hidden: put pictures there"):
        read_folder(str(folder / ".hidden"), geometry=GEOMETRY)
    (folder / "b.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"b\.png .*cannot be decoded"):
        read_folder(str(folder), geometry=GEOMETRY)
