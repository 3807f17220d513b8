"""Shards give the pixels and labels that were written, at any row, and in a copy of the store."""

import io
import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from debias.components import construct
from debias.data.checks import check_examples
from debias.data.pictures import shards as index
from debias.data.sets.shards import shards
from debias.data.tables.rules import RowRules
from debias.errors import InputError
from tests.data.small_pictures import noise, write_png

PARTS = {"set-train-000": range(6), "set-train-001": range(6, 8), "val/0": range(8, 12)}
PARTS |= {"set-test-0": range(12, 16)}


def members_of(folder: Path, number: int) -> dict[str, bytes]:
    """Noise images; classes take turns, and every third bias value is absent."""
    write_png(folder / "picture.png", noise(number))
    place = {} if number % 3 == 0 else {"bias": ("day", "night")[number // 2 % 2]}
    labels = {"id": number, "boxes": [1, 2], "note": None, **place}
    return {
        "png": (folder / "picture.png").read_bytes(),
        "cls": str(number % 2).encode(),
        "json": json.dumps(labels).encode(),
        "txt": b"a caption that is far too long to be the name of a class or of a bias value",
    }


def write_shard(path: Path, samples: dict[str, dict[str, bytes]], mode: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as file:
        for key, members in samples.items():
            for extension, data in members.items():
                member = tarfile.TarInfo(f"./{key}.{extension}")
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Sixteen samples in four shards, whose keys begin at 0 in each."""
    for name, numbers in PARTS.items():
        samples = {f"{at:04d}": members_of(tmp_path, number) for at, number in enumerate(numbers)}
        write_shard(tmp_path / "shards" / f"{name}.tar", samples)
    return tmp_path / "shards"


def number_of(image: str) -> int:
    shard, _, key = image.rpartition("/")
    return PARTS[shard][int(key)]


def test_labels_splits_and_pixels_of_every_sample(root: Path) -> None:
    examples = shards(root=str(root), aligned=[[0, 1]])
    numbers = [number_of(image) for image in examples.images]
    assert sorted(numbers) == list(range(16))
    assert examples.target.tolist() == [number % 2 for number in numbers]
    known = [-1 if number % 3 == 0 else number // 2 % 2 for number in numbers]
    assert examples.bias.tolist() == known
    assert examples.groups.bias_names == ("day", "night")
    assert examples.split.tolist() == [(n >= 8) + (n >= 12) for n in numbers]
    for row in (15, 0, 7, 9):
        np.testing.assert_array_equal(examples.store.read(row), noise(numbers[row]))
    copied = pickle.loads(pickle.dumps(examples.store))
    np.testing.assert_array_equal(copied.read(3), noise(numbers[3]))
    check_examples(examples)


def test_shards_in_a_linked_folder_are_read(root: Path, tmp_path: Path) -> None:
    (root / "val").rename(tmp_path / "disk")
    (root / "val").symlink_to(tmp_path / "disk")
    assert len(shards(root=str(root))) == 16


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("a\rb\n", "a b"),
        ("\ud800", "?"),
        ("a\0b", "a b"),
        ('"a", b ', '"a", b'),
        ("a" * 1000, "a" * 1000),
        ("a" * 1001, ""),
        ("a" * 200_000, ""),
    ],
)
def test_any_text_in_json_fits_into_the_index(tmp_path: Path, text: str, label: str) -> None:
    samples = {
        str(row): {"png": b"x", "cls": b"1", "json": json.dumps({"note": note}).encode()}
        for row, note in enumerate(("short", text))
    }
    write_shard(tmp_path / "train.tar", samples)
    names = shards(root=str(tmp_path), bias="note").groups.bias_names
    assert set(names) == {"short", label} - {""}


def test_the_headers_are_read_once_and_again_after_a_change(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shards(root=str(root))
    monkeypatch.setattr(index, "_samples", lambda root, shard: pytest.fail("read again"))
    again = shards(root=str(root))
    assert (again.images, again.digest()) == (first.images, first.digest())
    monkeypatch.undo()
    write_shard(root / "set-test-0.tar", {"0000": members_of(root.parent, 3)})
    changed = shards(root=str(root))
    assert len(changed) == 13
    assert len(list(root.glob("debias-index-*.csv"))) == 1
    row = changed.images.index("set-test-0/0000")
    old = first.images.index("set-test-0/0000")
    assert changed.store.fingerprint(row) != first.store.fingerprint(old)


def test_shards_of_equal_size_and_time_differ_by_their_content(tmp_path: Path) -> None:
    """Their indexes have different names too. A copy counts as the same file."""
    prints, names = [], []
    for folder, content in (("one", b"x"), ("copy", b"x"), ("other", b"y")):
        path = tmp_path / folder / "train.tar"
        write_shard(path, {"0": {"png": content, "cls": b"0"}})
        os.utime(path, ns=(1, 1))
        prints.append(shards(root=str(path.parent), bias=None).store.fingerprint(0))
        names.append([found.name for found in path.parent.glob("debias-index-*")])
    assert prints[0] == prints[1] != prints[2]
    assert names[0] == names[1] != names[2]


def test_another_process_may_write_the_index_first(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index that the other one reads is there at every moment."""
    shards(root=str(root))
    (own,) = root.glob("debias-index-*.csv")
    monkeypatch.setattr(index, "write_atomically", lambda path, text: gone.append(path.is_file()))
    gone: list[bool] = []
    index._write_index(root, sorted(each.name for each in root.glob("*.tar")), own)
    assert gone == [True]
    assert own.is_file()


def test_rows_left_out_keep_the_pixels_of_the_others(root: Path) -> None:
    rules = RowRules(values={"bias": {"night": None}})
    examples = shards(root=str(root), rules=rules)
    assert 0 < len(examples) < 16
    for row, image in enumerate(examples.images):
        np.testing.assert_array_equal(examples.store.read(row), noise(number_of(image)))


def test_splits_of_a_label_or_drawn(root: Path) -> None:
    drawn = shards(root=str(root), rules=RowRules(shares=[0.5, 0.25, 0.25]))
    assert set(drawn.split.tolist()) == {0, 1, 2}
    assert not torch.equal(drawn.split, shards(root=str(root)).split)
    (root / "val/0.tar").rename(root / "more.tar")
    with pytest.raises(InputError, match=r"more\.tar names no split: name it like train-000000"):
        shards(root=str(root))


def test_mistakes_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no column 'biass'; did you mean 'bias'.*data\.bias"):
        shards(root=str(root), bias="biass")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no shard in .*train-000000\.tar; unpack compressed"):
        shards(root=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"cls": b"0"}, r"the sample 0000 has 0 images.*it has cls"),
        ({"png": b"x", "jpg": b"x"}, "the sample 0000 has 2 images"),
        ({"png": b"x", "json": b"{"}, r"0000\.json is no JSON"),
    ],
)
def test_a_damaged_sample_is_named(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    write_shard(tmp_path / "train.tar", {"0000": members})
    with pytest.raises(InputError, match=message):
        shards(root=str(tmp_path))


def test_a_compressed_shard_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "train.tar", {"0000": {"png": b"x"}}, mode="w:gz")
    with pytest.raises(InputError, match=r"train\.tar cannot be read as an uncompressed tar file"):
        shards(root=str(tmp_path))


def test_aligned_pairs_may_be_names_in_a_config(root: Path) -> None:
    section = {"name": "shards", "root": str(root), "aligned": [[0, "night"], ["1", "day"]]}
    assert construct("data", section, {}).groups.aligned == ((0, 1), (1, 0))
