"""Arrays of images: three layouts of the field, the rule of channels, refusals."""

import os
import pickle

import numpy as np
import pytest

from debias.data.checks import check_examples
from debias.data.sets.arrays import arrays
from debias.data.tables.rules import RowRules
from tests.data.small_pictures import write_png


def noise(*shape):
    return np.random.default_rng(shape[0]).integers(0, 256, shape, dtype=np.uint8)


def write_plain(root, shape=(6, 5, 4, 3)):
    images = noise(*shape)
    np.save(root / "images.npy", images)
    rows = ["cat,in,train", "dog,in,train", "cat,out,train", "dog,out,val", "cat,in,test", "dog,,2"]
    (root / "labels.csv").write_text("\n".join(["target,bias,split", *rows]))
    return images


def test_one_array_and_a_csv_file(tmp_path):
    images = write_plain(tmp_path)
    examples = arrays(root=str(tmp_path))
    with pytest.warns(UserWarning, match="no training image in dog-out"):
        check_examples(examples)
    assert examples.images == tuple(f"images/{row}" for row in range(6))
    assert examples.groups.names == ("cat-in", "cat-out", "dog-in", "dog-out")
    assert examples.target.tolist() == [0, 1, 0, 1, 0, 1]
    assert examples.bias.tolist() == [0, 0, 1, 1, 0, -1]
    assert examples.split.tolist() == [0, 0, 0, 1, 2, 2]
    assert all((examples.store.read(row) == images[row]).all() for row in range(6))


@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 4, 1), (6, 5, 4, 2)])
def test_other_numbers_of_channels(tmp_path, shape):
    """Grey becomes all three channels; of two, blue is 0."""
    images = write_plain(tmp_path, shape)
    read = arrays(root=str(tmp_path)).store.read(2)
    assert read.shape == (5, 4, 3)
    if shape[-1] == 2:
        assert (read[..., :2] == images[2]).all()
        assert not read[..., 2].any()
    else:
        assert (read == images[2].reshape(5, 4, 1)).all()


def test_masks_are_named_after_the_images(tmp_path):
    write_plain(tmp_path)
    write_png(tmp_path / "masks" / "images" / "4.png", np.full((5, 4), 255, np.uint8))
    examples = arrays(root=str(tmp_path), masks=str(tmp_path / "masks"))
    assert examples.masks == ("", "", "", "", "images/4.png", "")
    assert examples.mask_root == tmp_path / "masks"


def test_lff_layout_with_two_biases(tmp_path):
    """``{split}/images.npy`` with ``attrs.npy``, whose columns have no names."""
    for part, count in (("train", 4), ("valid", 2), ("test", 2)):
        (tmp_path / part).mkdir()
        np.save(tmp_path / part / "images.npy", noise(count, 3, 3, 3))
        np.save(tmp_path / part / "attrs.npy", np.arange(count)[:, None] % [2, 2, 1] + [0, 0, 1])
    examples = arrays(
        root=str(tmp_path),
        images="{split}/images.npy",
        labels="{split}/attrs.npy",
        columns=["digit", "left", "right"],
        target="digit",
        bias=["left", "right"],
    )
    assert examples.images[:4] == (
        "test/images/0",
        "test/images/1",
        "train/images/0",
        "train/images/1",
    )
    assert examples.split.tolist() == [2, 2, 0, 0, 0, 0, 1, 1]
    assert examples.target.tolist() == [0, 1] * 4
    assert examples.groups.bias_names == (
        "left=0 & right=0",
        "left=0 & right=1",
        "left=1 & right=0",
        "left=1 & right=1",
    )
    assert examples.bias.tolist() == [1, 3] * 4
    assert (examples.store.read(7) == noise(2, 3, 3, 3)[1]).all()


def test_lff_calls_its_test_valid(tmp_path):
    """The option ``values`` corrects the name; a tenth of 20 training rows is held out."""
    for part, count in (("train", 20), ("valid", 4)):
        (tmp_path / part).mkdir()
        np.save(tmp_path / part / "images.npy", noise(count, 3, 3, 3))
        np.save(tmp_path / part / "attrs.npy", np.arange(count)[:, None] // [2, 1] % 2)
    examples = arrays(
        root=str(tmp_path),
        images="{split}/images.npy",
        labels="{split}/attrs.npy",
        columns=["target", "bias"],
        rules=RowRules(values={"split": {"valid": "test"}}),
    )
    counts = [len(examples.rows(split)) for split in ("train", "val", "test")]
    assert counts[0] + counts[1] == 20
    assert 2 <= counts[1] <= 4
    assert counts[2] == 4
    assert examples.frequencies("test").tolist() == [1, 1, 1, 1]


def test_arrays_in_a_linked_folder_are_read(tmp_path):
    for folder in ("set/train", "disk"):
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / "images.npy", noise(2, 3, 3))
    (tmp_path / "set/val").symlink_to(tmp_path / "disk")
    names = {"images": "{split}/images.npy", "labels": None, "blocks": {"target": ["0", "1"]}}
    examples = arrays(root=str(tmp_path / "set"), **names, bias=None)
    assert examples.split.tolist() == [0, 0, 1, 1]


def test_medmnist_layout(tmp_path):
    """One ``.npz`` file with two arrays per split."""
    parts = {"train": 4, "val": 2, "test": 2}
    members = {f"{part}_images": noise(count, 3, 3) for part, count in parts.items()}
    members |= {f"{part}_labels": np.arange(count)[:, None] % 2 for part, count in parts.items()}
    np.savez_compressed(tmp_path / "blood.npz", **members)
    examples = arrays(
        root=str(tmp_path),
        images="blood.npz:{split}_images",
        labels="blood.npz:{split}_labels",
        bias=None,
    )
    assert examples.images[2:4] == ("blood/train_images/0", "blood/train_images/1")
    assert examples.class_counts("train").tolist() == [2, 2]
    assert (examples.store.read(7)[..., 1] == noise(2, 3, 3)[1]).all()


def test_cifar_10_c_layout(tmp_path):
    """A file per corruption, labels in common, five blocks of severities, all in the test."""
    for name in ("fog", "snow"):
        np.save(tmp_path / f"{name}.npy", noise(10, 3, 3, 3))
    np.save(tmp_path / "labels.npy", np.arange(10) % 2)
    options = {"images": "{corruption:fog|snow}.npy", "labels": "labels.npy", "bias": "corruption"}
    examples = arrays(
        root=str(tmp_path),
        **options,
        blocks={"severity": ["1", "2", "3", "4", "5"], "split": ["test"]},
        bias_names=None,
    )
    assert examples.split.tolist() == [2] * 20
    assert examples.groups.bias_names == ("fog", "snow")
    assert examples.frequencies("test").tolist() == [5, 5, 5, 5]
    by_severity = arrays(root=str(tmp_path), **options | {"bias": "severity"},
        blocks={"severity": ["1", "2", "3", "4", "5"], "split": ["test"]})  # fmt: skip
    assert by_severity.bias[:10].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_rows_left_out_keep_their_pixels(tmp_path):
    images = write_plain(tmp_path)
    rules = RowRules(values={"bias": {"out": None}})
    examples = arrays(root=str(tmp_path), rules=rules)
    assert examples.images == ("images/0", "images/1", "images/4", "images/5")
    assert (examples.store.read(2) == images[4]).all()


def test_a_store_is_sent_without_its_pixels_and_notices_changes(tmp_path):
    images = write_plain(tmp_path, (6, 64, 64, 3))
    store = arrays(root=str(tmp_path)).store
    sent = pickle.dumps(store)
    assert len(sent) < images.nbytes // 10
    assert (pickle.loads(sent).read(3) == images[3]).all()
    prints = {store.fingerprint(row) for row in range(6)}
    assert len(prints) == 6
    os.utime(tmp_path / "images.npy", ns=(1, 1))
    assert not {store.fingerprint(row) for row in range(6)} & prints


def test_files_of_equal_size_and_time_differ_by_their_content(tmp_path):
    """As two versions that are unpacked with fixed times. A copy counts as the same file."""
    prints = {}
    for name in ("one", "copy", "other"):
        (tmp_path / name).mkdir()
        images = write_plain(tmp_path / name, (6, 64, 64, 3))
        if name == "other":
            np.save(tmp_path / name / "images.npy", 255 - images)
        os.utime(tmp_path / name / "images.npy", ns=(1, 1))
        prints[name] = arrays(root=str(tmp_path / name)).store.fingerprint(0)
    assert prints["copy"] == prints["one"] != prints["other"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda root: (root / "images.npy").unlink(), {}, r"no array images\.npy in"),
        (lambda root: np.save(root / "images.npy", np.zeros((6, 5, 4))), {}, "holds float64 of"),
        (lambda root: np.save(root / "images.npy", noise(6, 3, 8, 9)), {}, "last axis .*moveaxis"),
        (lambda root: np.save(root / "images.npy", noise(5, 4, 4)), {}, "has 5 images, but"),
        (lambda root: np.save(root / "images.npy", np.array([{}] * 6)), {}, "cannot be read as"),
        (lambda root: (root / "images.npy").write_bytes(b"<html>"), {}, "cannot be read as"),
        (None, {"bias": "colour"}, "has no column 'colour'; valid: bias, split, target"),
        (None, {"labels": "{split}.csv"}, "has the field split, but images has none"),
        (None, {"labels": "images.npy", "columns": ["a"]}, "uint8 in 60 columns"),
        (None, {"blocks": {"severity": ["1", "2", "3", "4"]}}, "not 4 equal blocks of severity"),
        (None, {"blocks": {"bias": ["a", "b"]}}, "column bias is in labels.csv and also"),
        (None, {"images": "a.npz"}, "a.npz holds several arrays: name one"),
        (None, {"images": "a.npz:y"}, "a.npz has no array 'y'; valid: x"),
    ],
)  # fmt: skip
def test_refusals(tmp_path, change, options, message):
    write_plain(tmp_path)
    np.savez(tmp_path / "a.npz", x=noise(6, 2, 2))
    if change is not None:
        change(tmp_path)
    with pytest.raises(ValueError, match=message):
        arrays(root=str(tmp_path), **options)
