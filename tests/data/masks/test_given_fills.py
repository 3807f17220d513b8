"""Fills in files are taken instead of inpainting, get the same geometry, and are cached."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from debias.data.datamodule import ImageData
from debias.data.examples import Examples
from debias.data.masks.companions import with_companions
from debias.data.orders import shuffled
from debias.data.pictures import image_files
from debias.data.pictures.cache import TEMPORARY, open_cache
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.preprocessing import resize, waterbirds
from tests.data.small_pictures import noise, small_examples, write_png

HALF = (0.5, 0.5, 0.5)


def filled(folder: Path) -> Examples:
    """Every fill is noise of its own, which no inpainting would give."""
    examples = small_examples(folder)
    for number in range(len(examples)):
        write_png(folder / f"fills/{number}.png", noise(100 + number))
    return with_companions(examples, masks=None, fills=folder / "fills")


def files_of(examples: Examples, size: int = 8, *, backgrounds: bool = True) -> ImageFiles:
    return ImageFiles.of(
        examples, examples.rows("train"), resize(size=size).train, backgrounds=backgrounds
    )


def test_the_given_fill_is_the_background(tmp_path: Path) -> None:
    """At the pictures' own size (12 x 10, squeezed to 12 x 12) and through a recipe that cuts."""
    examples = filled(tmp_path)
    for recipe in (resize(size=12), waterbirds(size=8)):
        files = ImageFiles.of(examples, torch.tensor([7, 2]), recipe.train, backgrounds=True)
        picture = files.read(1)
        assert picture.background is not None
        assert (picture.background == recipe.train.image(noise(102))).all()
        assert (picture.image == recipe.train.image(noise(2))).all()


def test_nothing_is_inpainted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "filled_background", None)
    assert files_of(filled(tmp_path)).fetch(torch.arange(6)).backgrounds is not None


def test_no_fill_is_read_where_no_background_is_asked_for(tmp_path: Path) -> None:
    examples = filled(tmp_path)
    for path in (tmp_path / "fills").iterdir():
        path.write_bytes(b"damaged")
    assert files_of(examples, backgrounds=False).read(0).background is None


def test_a_fill_of_another_size_is_named(tmp_path: Path) -> None:
    """The last training picture's; also by what runs before training, through the cache."""
    examples = filled(tmp_path)
    write_png(tmp_path / "fills/5.png", noise(1, 10, 12))
    message = (
        r"fill .*fills/5\.png has width x height 12x10, but its image, upright, 10x12: resize the "
        r"fill to the size of its image"
    )
    with pytest.raises(ValueError, match=message):
        files_of(examples).read(5)
    data = ImageData(
        examples, resize(size=8), shuffled(examples.target[:6]), mean=HALF, std=HALF,
        cache_dir=tmp_path / "cache", backgrounds=True,
    )  # fmt: skip
    with pytest.raises(ValueError, match=message):
        data.decode()


def test_cached_fills_equal_decoded_ones_and_leave_other_backgrounds_alone(tmp_path: Path) -> None:
    examples, cache = filled(tmp_path), tmp_path / "cache"
    inpainted = open_cache(files_of(replace(examples, fill_root=None, fills=())), cache)
    given = open_cache(files_of(examples), cache)
    assert given.paths[0] == inpainted.paths[0]
    assert given.paths[2] != inpainted.paths[2]
    positions = torch.tensor([4, 0])
    cached = given.fetch(positions).backgrounds
    decoded = files_of(examples).fetch(positions).backgrounds
    assert cached is not None
    assert decoded is not None
    assert torch.equal(cached, decoded)
    assert len(list(cache.glob("*.npy"))) == 4


def test_a_fill_that_is_written_anew_is_decoded_anew(tmp_path: Path) -> None:
    examples, cache = filled(tmp_path), tmp_path / "cache"
    open_cache(files_of(examples), cache)
    write_png(tmp_path / "fills/3.png", np.full((12, 10, 3), 77, np.uint8))
    os.utime(tmp_path / "fills/3.png", ns=(1, 1))
    backgrounds = open_cache(files_of(examples), cache).fetch(torch.tensor([3])).backgrounds
    assert backgrounds is not None
    assert (backgrounds == 77).all()


def test_other_fills_of_the_same_pictures_have_another_key(tmp_path: Path) -> None:
    """The same names and times; one fill differs, and its file in length: it is flat."""
    keys = set()
    for folder, fill in (
        (tmp_path / "a", noise(104)),
        (tmp_path / "b", np.zeros((12, 10, 3), np.uint8)),
    ):
        examples = filled(folder)
        write_png(folder / "fills/4.png", fill)
        for path in folder.rglob("*.png"):
            os.utime(path, ns=(5, 5))
        keys.add((files_of(examples).masks_key(), files_of(examples).fills_key()))
    assert len({pictures for pictures, _ in keys}) == 1
    assert len({fills for _, fills in keys}) == 2


def test_what_a_killed_process_left_of_a_fills_cache_is_known(tmp_path: Path) -> None:
    digits = "0123456789abcdef" * 2
    assert TEMPORARY.fullmatch(f".{digits}-fills{digits}.npy.17.tmp")


def test_training_batches_carry_the_given_fills(tmp_path: Path) -> None:
    examples = filled(tmp_path)
    data = ImageData(
        examples,
        resize(size=12),
        shuffled(examples.target[:6]),
        mean=HALF,
        std=HALF,
        batch_size=6,
        backgrounds=True,
    )
    batch = next(iter(data.train_dataloader()))
    assert batch.background is not None
    for position, row in enumerate(batch.index.tolist()):
        expected = resize(size=12).train.image(noise(100 + row))
        assert (batch.background[position].permute(1, 2, 0).numpy() == expected).all()
