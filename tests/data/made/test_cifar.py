"""CIFAR-10 in its three forms: the same images, damaged files, and pickles that run code."""

import pickle
import shutil

import cv2
import numpy as np
import pytest

from debias.data.made.cifar import CLASSES, read_cifar10
from tests.data.made.small_files import photos, write_cifar


@pytest.fixture
def binary(tmp_path):
    return write_cifar(tmp_path / "binary", batch=10, test=10)


def test_pixels_of_the_binary_version(binary):
    train, test = read_cifar10(str(binary))
    assert train.images.shape == (50, 32, 32, 3)
    assert train.labels.tolist() == list(range(10)) * 5
    flat, labels = photos(10)
    assert test.labels.tolist() == labels.tolist()
    # the byte of channel 2, row 5, column 9 of photo 3
    assert test.images[3, 5, 9, 2] == flat[3, 2 * 1024 + 5 * 32 + 9]


def write_pickles(folder, binary, protocol):
    folder.mkdir(parents=True)
    for path in (binary / "cifar-10-batches-bin").iterdir():
        rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)
        batch = {b"data": rows[:, 1:].copy(), b"labels": rows[:, 0].tolist(), b"batch_label": b"x"}
        (folder / path.stem).write_bytes(pickle.dumps(batch, protocol=protocol))


@pytest.mark.parametrize("protocol", [2, 5])
def test_the_python_version_has_the_same_images(binary, tmp_path, protocol):
    write_pickles(tmp_path / "python" / "cifar-10-batches-py", binary, protocol)
    for ours, theirs in zip(
        read_cifar10(str(tmp_path / "python")), read_cifar10(str(binary)), strict=True
    ):
        assert (ours.images == theirs.images).all()
        assert (ours.labels == theirs.labels).all()


def test_folders_of_pictures_have_the_same_images(binary, tmp_path):
    read = dict(zip(("train", "test"), read_cifar10(str(binary)), strict=True))
    for part, (images, labels) in read.items():
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = tmp_path / "tree" / part / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{row:03}.png"), image[..., ::-1])
    for part, found in zip(read, read_cifar10(str(tmp_path / "tree")), strict=True):
        order = np.argsort(read[part].labels, kind="stable")
        assert (found.labels == read[part].labels[order]).all()
        assert (found.images == read[part].images[order]).all()


class Harm:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({b"data": Harm(), b"labels": []}), "it names builtins.print"),
        (pickle.dumps([1, 2]), "is not a file of CIFAR-10"),
        (b"<html>", "is not a file of CIFAR-10"),
        (pickle.dumps({b"data": np.zeros((2, 5), np.uint8), b"labels": [0, 1]}), "not a whole"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}), "not a whole"),
    ],
    ids=["code", "list", "page", "shape", "label"],
)
def test_damaged_pickles(binary, tmp_path, content, message, capsys):
    folder = tmp_path / "python"
    write_pickles(folder, binary, 5)
    (folder / "data_batch_3").write_bytes(content)
    with pytest.raises(ValueError, match=f"data_batch_3 .*{message}"):
        read_cifar10(str(folder))
    assert capsys.readouterr().out == ""


def test_missing_and_damaged_files(binary, tmp_path):
    place = binary / "cifar-10-batches-bin"
    (place / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(ValueError, match=r"test_batch.bin has 3072 bytes, not a multiple of 3073"):
        read_cifar10(str(binary))
    (place / "test_batch.bin").unlink()
    with pytest.raises(ValueError, match=r"no file .*test_batch.bin: fetch"):
        read_cifar10(str(binary))
    with pytest.raises(ValueError, match="no CIFAR-10 in"):
        read_cifar10(str(tmp_path))
    (tmp_path / "none" / "train" / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no picture in the folders of .*train: put"):
        read_cifar10(str(tmp_path / "none"))
    shutil.copytree(place, tmp_path / "train" / "plane")
    with pytest.raises(ValueError, match=r"must have a folder for each class .*; got plane"):
        read_cifar10(str(tmp_path))
