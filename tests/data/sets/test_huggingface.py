"""Hugging Face data sets on disk give the pixels and labels that were written, offline."""

import os
import pickle
import socket
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from debias.data.checks import check_examples
from debias.data.pictures.cache import open_cache
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.preprocessing import resize
from debias.data.sets.huggingface import huggingface
from debias.data.tables.rules import RowRules
from debias.errors import InputError
from tests.data.small_pictures import noise, write_png

PARTS = {"train": range(8), "validation": range(8, 12), "test": range(12, 16)}
LABELS = datasets.ClassLabel(names=["dog", "cat"])


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library keeps its Arrow copies here, prints no bars, and finds no network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "arrow")
    monkeypatch.setattr(socket.socket, "connect", None)
    datasets.disable_progress_bars()


def part(folder: Path, numbers: range, **columns: object) -> datasets.Dataset:
    """Noise images; classes take turns, and every third bias value is unknown."""
    for number in numbers:
        write_png(folder / f"{number}.png", noise(number))
    cells = {
        "image": [{"bytes": (folder / f"{n}.png").read_bytes(), "path": None} for n in numbers],
        "label": [number % 2 for number in numbers],
        "bias": [
            None if number % 3 == 0 else ("day", "night")[number // 2 % 2] for number in numbers
        ],
    }
    types = {"image": datasets.Image(), "label": LABELS, "bias": datasets.Value("string")}
    made = datasets.Dataset.from_dict(cells, features=datasets.Features(types))
    for name, values in columns.items():
        made = made.add_column(name, values)
    return made


def saved(folder: Path, **others: datasets.Dataset) -> str:
    """A folder of ``save_to_disk`` with three splits."""
    parts = {name: part(folder, numbers) for name, numbers in PARTS.items()} | others
    datasets.DatasetDict(parts).save_to_disk(folder / "saved")
    return str(folder / "saved")


def single(folder: Path) -> datasets.Dataset:
    splits = [name for name, numbers in PARTS.items() for _ in numbers]
    return part(folder, range(16), fold=splits)


def test_several_bias_columns_keep_the_names_of_class_labels(tmp_path):
    parts = {
        name: part(tmp_path, numbers, place=[number % 2 for number in numbers]).cast_column(
            "place", datasets.ClassLabel(names=["sea", "land"])
        )
        for name, numbers in PARTS.items()
    }
    examples = huggingface(root=saved(tmp_path, **parts), bias=["place", "bias"])
    expected = ("sea & day", "sea & night", "land & day", "land & night")
    assert examples.groups.bias_names == expected
    assert examples.bias.tolist()[:6] == [-1, 2, 1, -1, 0, 2]


def test_a_saved_folder(tmp_path):
    examples = huggingface(root=saved(tmp_path), aligned=[[0, 1]])
    assert examples.images[7:9] == ("train/7", "validation/0")
    assert examples.target.tolist() == [0, 1] * 8
    biases = [-1 if number % 3 == 0 else number // 2 % 2 for number in range(16)]
    assert examples.bias.tolist() == biases
    assert examples.split.tolist() == [0] * 8 + [1] * 4 + [2] * 4
    assert examples.groups.target_names == ("dog", "cat")
    assert (examples.groups.bias_names, examples.groups.aligned) == (("day", "night"), ((0, 1),))
    for row in (0, 7, 8, 15):
        np.testing.assert_array_equal(examples.store.read(row), noise(row))
    check_examples(examples)


def test_every_form_is_the_same_data(tmp_path):
    """A folder of parts; one data set, or one Parquet file, with a column of splits; and a file or
    two per split, as on the Hub.
    """
    expected = huggingface(root=saved(tmp_path))
    whole = single(tmp_path)
    whole.save_to_disk(tmp_path / "whole")
    whole.to_parquet(tmp_path / "whole.parquet")
    for name in ("whole", "whole.parquet"):
        found = huggingface(root=str(tmp_path / name), split="fold")
        assert found.images[15] == "all/15"
        for field in ("target", "bias", "split"):
            assert torch.equal(getattr(found, field), getattr(expected, field))
        assert found.groups == expected.groups
        np.testing.assert_array_equal(found.store.read(13), noise(13))
    for name, numbers in PARTS.items():
        for place, half in enumerate((numbers[:2], numbers[2:])):
            file = tmp_path / f"hub/data/{name}-0000{place}-of-00002.parquet"
            part(tmp_path, half).to_parquet(file)
    found = huggingface(root=str(tmp_path / "hub"))
    assert found.target.tolist() == expected.target.tolist()
    assert sorted(found.images) == sorted(expected.images)
    row = found.images.index("validation/3")
    np.testing.assert_array_equal(found.store.read(row), noise(11))
    (tmp_path / "hub/data").rename(tmp_path / "disk")
    (tmp_path / "hub/data").symlink_to(tmp_path / "disk")
    assert huggingface(root=str(tmp_path / "hub")).images == found.images


def test_files_of_equal_size_and_time_differ_by_their_content(tmp_path):
    prints = []
    for folder, picture in (("one", b"x"), ("copy", b"x"), ("other", b"y")):
        cells = {"image": [{"bytes": picture, "path": None}], "label": ["0"], "split": ["train"]}
        made = datasets.Dataset.from_dict(cells).cast_column("image", datasets.Image())
        made.to_parquet(path := tmp_path / folder / "all.parquet")
        os.utime(path, ns=(1, 1))
        examples = huggingface(root=str(path), bias=None, split="split")
        prints.append(examples.store.fingerprint(0))
    assert prints[0] == prints[1] != prints[2]


def test_rows_left_out_and_drawn_splits(tmp_path, capsys):
    """The pixels of a row stay with its labels."""
    parts = {"one": part(tmp_path, range(16))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    names = {"bias": {"night": None}, "label": {"dog": "wolf"}}  # class labels go by their names
    rules = RowRules(values=names, shares=[0.5, 0.25, 0.25])
    found = huggingface(root=str(tmp_path / "saved"), rules=rules)
    kept = [number for number in range(16) if number % 3 == 0 or number // 2 % 2 == 0]
    assert found.images == tuple(f"one/{number}" for number in kept)
    assert found.groups.target_names == ("cat", "wolf")
    assert found.target.tolist() == [1 - number % 2 for number in kept]
    assert "leaves out 5 of 16 rows" in capsys.readouterr().err
    np.testing.assert_array_equal(found.store.read(len(kept) - 1), noise(kept[-1]))
    check_examples(found)


def test_names_and_numbers_of_classes(tmp_path):
    """Class labels that look like numbers stay in their order; other integers number themselves."""
    three = datasets.ClassLabel(names=["7", "3"])
    parts = {name: part(tmp_path, numbers) for name, numbers in PARTS.items()}
    typed = {name: one.cast_column("label", three) for name, one in parts.items()}
    examples = huggingface(root=saved(tmp_path, **typed), bias="label")
    assert (examples.groups.target_names, examples.target[1]) == (("7", "3"), 1)
    assert (examples.groups.bias_names, examples.bias[1]) == (("7", "3"), 1)
    plain = {name: one.cast_column("label", datasets.Value("int8")) for name, one in parts.items()}
    examples = huggingface(root=saved(tmp_path, **plain), bias="label", target="label")
    assert (examples.groups.bias_names, examples.bias.tolist()) == (("0", "1"), [0, 1] * 8)


def test_cache_and_processes(tmp_path):
    rows, geometry, places = torch.arange(8, 12), resize(size=8).train, torch.tensor([3, 0])
    files = ImageFiles.of(huggingface(root=saved(tmp_path)), rows, geometry)
    expected = torch.stack([torch.from_numpy(geometry.image(noise(row))) for row in (11, 8)])
    assert torch.equal(pickle.loads(pickle.dumps(files)).fetch(places).images, expected)
    assert torch.equal(open_cache(files, tmp_path / "cache").fetch(places).images, expected)
    again = ImageFiles.of(huggingface(root=str(tmp_path / "saved")), rows, geometry)
    assert again.images_key() == files.images_key()
    os.utime(tmp_path / "saved/test/data-00000-of-00001.arrow", ns=(1, 1))
    changed = ImageFiles.of(huggingface(root=str(tmp_path / "saved")), rows, geometry)
    assert changed.images_key() != files.images_key()


def test_masks_are_named_after_the_images(tmp_path):
    for name, numbers in PARTS.items():
        for row in range(len(numbers)):
            write_png(tmp_path / f"masks/{name}/{row}.png", np.full((12, 10), 255, np.uint8))
    examples = huggingface(root=saved(tmp_path), masks=str(tmp_path / "masks"))
    assert examples.masks[8] == "validation/0.png"
    assert "mask" in examples.provides
    files = ImageFiles.of(examples, torch.tensor([8]), resize(size=8).train)
    assert (files.fetch(torch.tensor([0])).masks == 255).all()


def refusal(root: object, **options: object) -> str:
    with pytest.raises(InputError) as error:
        huggingface(root=str(root), **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_mistakes(tmp_path):
    root = saved(tmp_path)
    assert "has no column 'label_'; did you mean 'label'" in refusal(root, target="label_")
    assert "no column 'b'" in refusal(root, bias="b")
    assert "the column 'label' is ClassLabel" in refusal(root, image="label")
    assert "saved, row train/1: bias is 'day', but must be one of night" in refusal(
        root, bias_names=["night"]
    )
    assert "correct data.root" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty cannot be read as a Hugging Face data set (Directory" in refusal(
        tmp_path / "empty"
    )
    (tmp_path / "a.parquet").write_text("no")
    assert "a.parquet cannot be read as a Hugging Face" in refusal(tmp_path / "a.parquet")
    (tmp_path / "saved/test/data-00000-of-00001.arrow").write_text("no")
    assert "saved cannot be read as" in refusal(root)


def test_parts_that_are_no_splits(tmp_path):
    assert "and 'extra' is no split: name them train, val, test" in refusal(
        saved(tmp_path, extra=part(tmp_path, range(2)))
    )
    single(tmp_path).save_to_disk(tmp_path / "whole")
    assert "has the parts all, and 'all' is no split" in refusal(tmp_path / "whole")
    other = part(tmp_path, range(2)).cast_column("label", datasets.ClassLabel(names=["a", "b"]))
    assert "parts have different class labels in 'label'" in refusal(saved(tmp_path, train=other))


def test_bad_images(tmp_path):
    cells = {"image": [b"no", None], "label": [0, 1], "bias": ["day", "night"]}
    bad = datasets.Dataset.from_dict(cells).cast_column("label", LABELS)
    examples = huggingface(root=saved(tmp_path, train=bad.cast_column("image", datasets.Image())))
    with pytest.raises(InputError, match=r"saved, train/0 \(2 bytes\) cannot be decoded"):
        examples.store.read(0)
    with pytest.raises(InputError, match=r"saved, train/1 has no bytes: save the data set again"):
        examples.store.read(1)
    small = huggingface(root=str(tmp_path / "saved"), max_pixels=119)
    with pytest.raises(InputError, match=r"validation/0 has 10 x 12 pixels, more than data\.max_p"):
        small.store.read(2)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert 'needs datasets: pip install "debias-vision[huggingface]"' in refusal(tmp_path)
