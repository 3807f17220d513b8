"""The cache holds what decoding gives, is built once, survives touch, race, kill and full disk."""

import os
import pickle
import threading
import time
from collections import namedtuple
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from debias.data.pictures import cache, image_store
from debias.data.pictures.cache import open_cache
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.image_store import ImageFolder
from debias.data.pictures.preprocessing import resize, waterbirds
from tests.data.small_pictures import noise, small_examples, write_png
from tests.forked import FORKED


def files_of(folder: Path, *, masks: bool = True, size: int = 8) -> ImageFiles:
    examples = small_examples(folder, masks=masks)
    return ImageFiles.of(examples, examples.rows("train"), resize(size=size).train)


def refuse(path: Path, **options: int) -> NDArray[np.uint8]:
    raise AssertionError(f"decoded {path} again")


def forty_files(folder: Path) -> ImageFiles:
    names = tuple(f"{number}.png" for number in range(40))
    store = ImageFolder(folder, names)
    return ImageFiles(store, torch.arange(len(names)), None, (), resize(size=4).train)


def watch_decoding(folder: Path, *, stop: int = -1) -> None:
    """Log a byte for each picture, and wait for ever at one, after making the file ``half``."""
    decode = image_store.read_image

    def counted(path: Path, **options: int) -> NDArray[np.uint8]:
        if int(path.stem) == stop:
            (folder / "half").touch()
            threading.Event().wait()
        with (folder / "log").open("ab", buffering=0) as file:
            file.write(b".")
        return decode(path, **options)

    image_store.read_image = counted


def build_with_another(folder: Path, both: Barrier, names: SimpleQueue) -> None:
    watch_decoding(folder)
    both.wait()
    names.put(open_cache(forty_files(folder), folder / "cache").paths[0].name)


def build_half(folder: Path) -> None:
    watch_decoding(folder, stop=20)
    open_cache(forty_files(folder), folder / "cache")


def keys_of(files: ImageFiles) -> tuple[str, str]:
    return files.images_key(), files.masks_key()


@pytest.fixture
def forty(tmp_path: Path) -> Path:
    for number in range(40):
        write_png(tmp_path / f"{number}.png", noise(number))
    return tmp_path


def test_cached_pictures_equal_decoded_ones(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    positions = torch.tensor([4, 0, 4])
    cached, decoded = open_cache(files, tmp_path / "cache").fetch(positions), files.fetch(positions)
    assert cached.images.shape == (3, 8, 8, 3)
    assert torch.equal(cached.images, decoded.images)
    assert cached.masks is not None
    assert decoded.masks is not None
    assert torch.equal(cached.masks, decoded.masks)
    assert cached.masks[0, 0].tolist() == [255] * 4 + [0] * 4


def test_without_masks_there_is_no_mask_file(tmp_path: Path) -> None:
    cached = open_cache(files_of(tmp_path, masks=False), tmp_path / "cache")
    assert cached.fetch(torch.tensor([0])).masks is None
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1


def test_second_open_does_not_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_of(tmp_path)
    first = open_cache(files, tmp_path / "cache").fetch(torch.arange(6))
    monkeypatch.setattr(image_store, "read_image", refuse)
    second = open_cache(files, tmp_path / "cache").fetch(torch.arange(6))
    assert torch.equal(first.images, second.images)


def test_a_changed_file_or_recipe_is_decoded_anew(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    keys = {keys_of(files)}
    path = tmp_path / "images/2.png"
    write_png(path, 255 - noise(2))
    os.utime(path, ns=(1, 1))
    keys.add(keys_of(files))
    recipe = waterbirds(size=8).train
    keys.add(keys_of(replace(files, geometry=recipe)))
    keys.add(
        keys_of(replace(files, rows=files.rows.flip(0), masks=files.masks[::-1], geometry=recipe))
    )
    assert [len(set(kind)) for kind in zip(*keys, strict=True)] == [4, 4]


def test_with_a_changed_mask_the_images_stay(tmp_path: Path) -> None:
    """One more file, of masks; a cache without masks finds the images too."""
    files = files_of(tmp_path)
    open_cache(files, tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.npy")}
    mask = tmp_path / "masks/2.png"
    write_png(mask, np.full((12, 10), 255, np.uint8))
    os.utime(mask, ns=(1, 1))
    cached = open_cache(files, tmp_path / "cache").fetch(torch.tensor([2, 1]))
    assert cached.masks is not None
    assert cached.masks[0].eq(255).all()
    assert cached.masks[1].eq(0).any()
    open_cache(replace(files, mask_root=None, masks=()), tmp_path / "cache")
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.npy")}
    assert before.items() <= after.items()
    assert sorted(path.stem.partition("-")[2] for path in after) == ["images", "masks", "masks"]


def test_the_new_pixels_of_a_changed_file_are_seen(tmp_path: Path) -> None:
    files = ImageFiles.of(small_examples(tmp_path), torch.tensor([2]), resize(size=8).train)
    open_cache(files, tmp_path / "cache")
    write_png(tmp_path / "images/2.png", np.full((12, 10, 3), 77, np.uint8))
    os.utime(tmp_path / "images/2.png", ns=(1, 1))
    assert (open_cache(files, tmp_path / "cache").fetch(torch.tensor([0])).images == 77).all()


def test_key_does_not_depend_on_where_the_data_lies(tmp_path: Path) -> None:
    keys = set()
    for folder in (tmp_path / "a", tmp_path / "b"):
        files = files_of(folder)
        for path in folder.rglob("*.png"):
            os.utime(path, ns=(5, 5))
        keys.add(keys_of(files))
    assert len(keys) == 1


def test_a_pickled_cache_is_opened_not_copied(tmp_path: Path) -> None:
    cached = open_cache(files_of(tmp_path, size=64), tmp_path / "cache")
    data = pickle.dumps(cached)
    assert len(data) < 1000
    assert torch.equal(
        pickle.loads(data).fetch(torch.tensor([3])).images, cached.fetch(torch.tensor([3])).images
    )


def test_writing_to_a_fetched_batch_leaves_the_cache_alone(tmp_path: Path) -> None:
    cached = open_cache(files_of(tmp_path), tmp_path / "cache")
    before = cached.fetch(torch.tensor([1])).images.clone()
    cached.fetch(torch.tensor([1])).images.zero_()
    assert torch.equal(cached.fetch(torch.tensor([1])).images, before)


def test_a_damaged_picture_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    path = tmp_path / "images/3.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"3\.png is truncated"):
        open_cache(files, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["building.lock"]


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    (tmp_path / "images/3.png").unlink()
    with pytest.raises(ValueError, match=r"3\.png \(No such file"):
        open_cache(files, tmp_path / "cache")


def test_a_full_disk_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")(free=10_000_000)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(image_store, "read_image", refuse)
    with pytest.raises(
        ValueError,
        match=r"needs 0 MB in .*, and 64 to spare; \d+ MB are free.*cache_dir.*cache=false",
    ):
        open_cache(files_of(tmp_path), tmp_path / "cache")


@pytest.mark.slow
def test_two_processes_at_once_build_it_once(forty: Path) -> None:
    names = FORKED.SimpleQueue()
    given = (forty, FORKED.Barrier(2), names)
    processes = [FORKED.Process(target=build_with_another, args=given) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert names.get() == names.get()
    assert (forty / "log").stat().st_size == 40


@pytest.mark.slow
def test_a_kill_half_way_leaves_nothing_that_is_read(forty: Path) -> None:
    process = FORKED.Process(target=build_half, args=(forty,))
    process.start()
    while not (forty / "half").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    left = [path.suffix for path in (forty / "cache").iterdir()]
    assert sorted(left) == [".lock", ".tmp"]
    files = forty_files(forty)
    cached = open_cache(files, forty / "cache")
    assert torch.equal(cached.fetch(torch.arange(40)).images, files.fetch(torch.arange(40)).images)
    assert sorted(path.suffix for path in (forty / "cache").iterdir()) == [".lock", ".npy"]


def test_files_of_others_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    (folder / "a.tmp").mkdir(parents=True)
    (folder / "notes.tmp").write_text("mine")
    dead = folder / f".{'0' * 32}-images.npy.17.tmp"
    dead.write_text("half")
    open_cache(files_of(tmp_path), folder)
    assert (folder / "notes.tmp").read_text() == "mine"
    assert (folder / "a.tmp").is_dir()
    assert not dead.exists()
