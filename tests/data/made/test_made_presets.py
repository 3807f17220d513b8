"""Presets over readers of digits and arrays: each is read from small files in its layout."""

import numpy as np
import pytest

from debias.components import construct
from debias.data.examples import SPLITS
from tests.data.made.small_files import write_cifar, write_digits

CORRUPTIONS = (
    *("brightness", "contrast", "defocus_blur", "elastic_transform", "fog", "frost"),
    *("gaussian_blur", "gaussian_noise", "glass_blur", "impulse_noise", "jpeg_compression"),
    *("motion_blur", "pixelate", "saturate", "shot_noise", "snow", "spatter", "speckle_noise"),
    "zoom_blur",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return str(write_digits(folder / "mnist")), str(write_cifar(folder / "cifar"))


def sizes(examples):
    return [len(examples.rows(split)) for split in SPLITS]


def test_fashion_mnist(files):
    examples = construct("data", {"name": "fashion_mnist", "root": files[0], "val": 20}, {})
    assert examples.groups.target_names[::9] == ("T-shirt", "ankle boot")
    assert sizes(examples) == [40, 20, 40]


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [
        ("coloured_mnist", ("5 to 9", "0 to 4"), [50, 10, 10]),
        ("coloured_mnist_domainbed", ("5 to 9", "0 to 4"), [67, 33, 33]),
        ("coloured_mnist_subpop", ("0 to 4", "5 to 9"), [30, 10, 20]),
    ],
)
def test_coloured(files, name, classes, expected):
    examples = construct("data", {"name": name, "root": files[0], "val": 0}, {})
    assert examples.groups.target_names == classes
    assert examples.groups.bias_names == ("red", "green")
    assert sizes(examples) == expected


def test_dominoes(files):
    """Six digits of each class, above six photos: int(6 * .95) = 5 of them fit."""
    section = {"name": "dominoes", "root": files[1], "top": files[0], "val": 0.2}
    examples = construct("data", section, {})
    assert sizes(examples) == [10, 2, 8]
    known = table(examples, "train") + table(examples, "val")
    assert known.diagonal().tolist() == [5, 5]
    assert table(examples, "test").tolist() == [[2, 2], [2, 2]]


def table(examples, split):
    return examples.frequencies(split).reshape(2, 2)


def test_cifar10_c(tmp_path):
    """19 files of 50,000 images, here of 20, and labels that all share."""
    for name in CORRUPTIONS:
        np.save(tmp_path / f"{name}.npy", np.full((20, 32, 32, 3), len(name), np.uint8))
    np.save(tmp_path / "labels.npy", np.arange(20) % 10)
    examples = construct("data", {"name": "cifar10_c", "root": str(tmp_path)}, {})
    assert sizes(examples) == [0, 0, 380]
    assert examples.groups.bias_names == CORRUPTIONS
    assert examples.frequencies("test").tolist() == [2] * 190
    assert examples.images[20] == "contrast/0"
    assert examples.store.read(20).max() == len("contrast")
    section = {"name": "cifar10_c", "root": str(tmp_path), "bias": "severity"}
    by_severity = construct("data", section, {})
    assert by_severity.frequencies("test").reshape(10, -1)[:, 1:].sum(dim=0).tolist() == [76] * 5
