"""Biased-MNIST from small idx files: counts, colours by hand, the same bytes, refusals."""

import gzip
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from debias.data.checks import check_examples
from debias.data.examples import SPLITS
from debias.data.made.colours import COLOURS
from debias.data.sets.biased_mnist import biased_mnist
from tests.data.small_pictures import digest

NAMES = {"train": "train", "test": "t10k"}


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(
    folder: Path, *, train: int = 220, test: int = 100, suffix: str = "", dot: bool = False
) -> None:
    """Digits in turn 0, 1, ..., 9, 0, ...: images 4 x 4, the upper half ground, the lower half a
    grey per image.
    """
    for part, count in (("train", train), ("t10k", test)):
        images = np.zeros((count, 4, 4), np.uint8)
        images[:, 2:] = 1 + np.arange(count, dtype=np.uint8)[:, None, None] % 255
        mark = "." if dot else "-"
        write_idx(folder / f"{part}-images{mark}idx3-ubyte{suffix}", images)
        write_idx(
            folder / f"{part}-labels{mark}idx1-ubyte{suffix}", np.arange(count, dtype=np.uint8) % 10
        )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("mnist")
    write_mnist(root)
    return root, biased_mnist(root=str(root), rho=0.9, val=20)


def test_counts_by_hand(small):
    """Of 22 images of each digit 2 are held out and 20 trained on: 18 and int(1.8) = 1 of them on
    the own colour.

    The two others of training are of two colours. Of 10 test images int(1) has its own colour, and
    so has each other.
    """
    examples = small[1]
    train, val, test = (examples.frequencies(split).reshape(10, 10) for split in SPLITS)
    assert train.diagonal().tolist() == [18] * 10
    assert train.sum(dim=1).tolist() == [20] * 10
    assert train.fill_diagonal_(0).max() == 1
    assert val.diagonal().tolist() == [1] * 10
    assert val.sum(dim=1).tolist() == [2] * 10
    assert torch.equal(test, torch.ones(10, 10, dtype=torch.int64))


@pytest.mark.parametrize(("rho", "own"), [(1.0, 20), (0.99, 19), (0.5, 10), (0.1, 2), (0.0, 0)])
def test_the_others_are_spread_evenly(tmp_path, rho, own):
    """int(20 * rho) on the own colour; the nine others differ by one at most."""
    write_mnist(tmp_path)
    train = biased_mnist(root=str(tmp_path), rho=rho, val=20).frequencies("train").reshape(10, 10)
    assert train.diagonal().tolist() == [own] * 10
    others = train[~torch.eye(10, dtype=torch.bool)].reshape(10, 9)
    assert (others.max(dim=1).values - others.min(dim=1).values).max() <= 1
    assert others.sum(dim=1).tolist() == [20 - own] * 10


def test_groups_are_named_by_digit_and_colour(small):
    groups = small[1].groups
    assert groups.count == 100
    assert (groups.names[0], groups.names[13], groups.names[99]) == ("0-red", "1-yellow", "9-grey")
    assert groups.aligned == tuple((digit, digit) for digit in range(10))


def test_pixels(small):
    """Where the image is 0 there is the colour of its label, everywhere else white; nothing is lost
    in the file.
    """
    examples = small[1]
    for path, bias in zip(examples.images, examples.bias.tolist(), strict=True):
        picture = cv2.imread(str(examples.root / path))[..., ::-1]
        assert (picture[:2] == COLOURS[bias][1]).all()
        assert (picture[2:] == 255).all()


def test_colours_are_the_published():
    """Red and blue are told apart, and the two of 225 are not 255."""
    colours = dict(COLOURS)
    assert [colours[name] for name in ("red", "blue", "yellow", "magenta", "rose", "grey")] == [
        (255, 0, 0),
        (0, 0, 255),
        (225, 225, 0),
        (225, 0, 225),
        (255, 0, 128),
        (128, 128, 128),
    ]
    assert len(COLOURS) == len(colours) == 10


def test_digits_keep_their_labels(tmp_path):
    """One pixel of digit, nine of ground in the row of their digit: train, val and test agree."""
    for part in NAMES.values():
        images = np.zeros((60, 10, 1), np.uint8)
        images[np.arange(60), np.arange(60) % 10] = 9
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.arange(60, dtype=np.uint8) % 10)
    examples = biased_mnist(root=str(tmp_path), val=10)
    assert len(examples) == 120
    for path, target in zip(examples.images, examples.target.tolist(), strict=True):
        white = (cv2.imread(str(examples.root / path)) == 255).all(axis=(1, 2))
        assert white.nonzero()[0].tolist() == [target]


def test_is_sound(small):
    with pytest.warns(UserWarning, match="no training image in 0-"):
        check_examples(small[1])


@pytest.mark.parametrize(
    ("folder", "suffix", "dot"),
    [("", ".gz", False), ("raw", "", True), ("MNIST/raw", ".gz", False)],
)
def test_other_layouts_give_the_same_bytes(small, tmp_path, folder, suffix, dot):
    write_mnist(tmp_path / folder, suffix=suffix, dot=dot)
    examples = biased_mnist(root=str(tmp_path), rho=0.9, val=20)
    assert digest(examples.root) == digest(small[1].root)


def test_is_coloured_once(tmp_path, small):
    """A second call reads what the first has written: the files of MNIST may be gone by then."""
    write_mnist(tmp_path)
    first = biased_mnist(root=str(tmp_path), rho=0.9, val=20)
    for path in tmp_path.glob("*-ubyte"):
        path.unlink()
    again = biased_mnist(root=str(tmp_path), rho=0.9, val=20)
    assert again.images == first.images
    assert torch.equal(again.bias, first.bias)
    assert [path.name for path in tmp_path.iterdir()] == ["biased_mnist-rho0.9-val20-seed0"]


def test_masks_are_read_from_a_folder(small, tmp_path):
    """Of the image 0 alone there is a mask: it has one, the others have none."""
    root, plain = small
    assert plain.masks == ()
    path = tmp_path / Path(plain.images[0]).with_suffix(".png")
    path.parent.mkdir(parents=True)
    path.touch()
    examples = biased_mnist(root=str(root), rho=0.9, val=20, masks=str(tmp_path))
    assert examples.images == plain.images
    assert examples.mask_root == tmp_path
    assert [mask for mask in examples.masks if mask] == [plain.images[0]]


def test_another_seed_colours_others(small):
    root, first = small
    other = biased_mnist(root=str(root), rho=0.9, val=20, seed=1)
    assert other.root != first.root
    assert not torch.equal(other.bias, first.bias)
    assert torch.equal(other.frequencies("test"), first.frequencies("test"))


def test_the_test_colours_do_not_depend_on_rho(small):
    root, first = small
    other = biased_mnist(root=str(root), rho=0.5, val=40)
    assert torch.equal(other.bias[other.rows("test")], first.bias[first.rows("test")])


@pytest.mark.parametrize("wrong", [{"rho": 1.1}, {"rho": -0.1}, {"val": 9}, {"seed": -1}])
def test_bounds(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"rho in \[0, 1\], val >= 10 and seed >= 0"):
        biased_mnist(root=str(tmp_path), **wrong)


def damage(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train-images-idx3-ubyte",
            struct.pack(">HBB3I", 0, 8, 3, 220, 4, 4) + bytes(3519),
            "not a complete idx file",
        ),
        (
            "train-images-idx3-ubyte",
            struct.pack(">HBB3I", 0, 13, 3, 220, 4, 4) + bytes(3520),
            "not a complete idx file of bytes",
        ),
        ("t10k-labels-idx1-ubyte", b"", "not a complete idx file of bytes in 1 dimensions"),
        (
            "t10k-labels-idx1-ubyte",
            struct.pack(">HBBI", 0, 8, 1, 2) + bytes(2),
            "100 images and 2 labels of t10k",
        ),
        (
            "t10k-labels-idx1-ubyte",
            struct.pack(">HBBI", 0, 8, 1, 100) + bytes([10] * 100),
            "the highest 10",
        ),
    ],
)
def test_damaged_files(tmp_path, name, content, message):
    write_mnist(tmp_path)
    damage(tmp_path, name, content)
    with pytest.raises(ValueError, match=message):
        biased_mnist(root=str(tmp_path), val=20)
    assert not list(tmp_path.glob("*biased*"))


@pytest.mark.parametrize(
    "damaged",
    [
        lambda whole: whole[:-20],
        lambda whole: b"<html>Not Found</html>",
        lambda whole: whole[:10] + bytes([255] * 20),
    ],
    ids=["truncated", "an error page", "damaged within"],
)
def test_damaged_gzip_files(tmp_path, damaged):
    """gzip has errors of its own for each of these: EOFError, BadGzipFile and zlib.error."""
    write_mnist(tmp_path, suffix=".gz")
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path} is not a complete gzip file .*: fetch it again"):
        biased_mnist(root=str(tmp_path), val=20)


def test_missing_files(tmp_path):
    with pytest.raises(
        ValueError, match=r"no train-images-idx3-ubyte or train-images-idx3-ubyte\.gz in"
    ):
        biased_mnist(root=str(tmp_path))
    write_mnist(tmp_path)
    with pytest.raises(ValueError, match="val=220 leaves none of the 220 training images"):
        biased_mnist(root=str(tmp_path), val=220)
