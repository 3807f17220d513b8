"""A data set on object storage is that of the same files on a disk."""

import os

import pytest

from debias import components
from debias.data.pictures.geometry import Geometry
from debias.data.pictures.image_files import ImageFiles
from debias.errors import InputError
from debias.storage.data import brought
from tests.data.small_pictures import noise, write_png

SECTION = {"name": "folder", "seed": 0}


def examples(root, cache_dir=None):
    section = {"name": "pattern", "root": str(root), "pattern": "{split}/{target}/{bias}/*"}
    return components.construct("data", section, {"cache_dir": cache_dir})


@pytest.fixture
def tree(tmp_path):
    for number in range(24):
        split, rest = divmod(number, 8)
        name = f"{('train', 'val', 'test')[split]}/{'ab'[rest // 4]}/{'xy'[rest // 2 % 2]}/{rest}"
        write_png(tmp_path / "tree" / f"{name}.png", noise(number, 8, 8))
    return tmp_path / "tree"


def test_rows_and_pictures_are_those_of_the_files(memory, tree, tmp_path):
    memory.put(str(tree), "/bucket/tree", recursive=True)
    local, stored = examples(tree), examples("memory://bucket/tree", str(tmp_path / "cache"))
    assert stored.root == tmp_path / "cache/storage/memory/bucket/tree"
    assert stored.digest() == local.digest()
    for path in tree.rglob("*.png"):  # a file is known by its path, size and time of change
        times = (stored.root / path.relative_to(tree)).stat()
        os.utime(path, ns=(times.st_mtime_ns, times.st_mtime_ns))
    keys = [_key(one) for one in (local, stored)]
    assert keys[0] == keys[1]


def _key(one):
    return ImageFiles.of(one, one.rows("train"), Geometry((), 8, 8)).images_key()


def test_absent_folder_is_refused(memory, cache):
    with pytest.raises(InputError, match="has no files: check the bucket and the path"):
        examples("memory://bucket/none")


def test_real_server(s3, tree, cache):
    s3.put(str(tree), "bucket/tree", recursive=True)
    assert examples("s3://bucket/tree").digest() == examples(tree).digest()
    with pytest.raises(InputError, match=r"root=s3://none/x: .*does not exist: check the bucket"):
        brought("data.root", "s3://none/x", None)


def test_wrong_credentials_and_address(s3, cache, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    type(s3).clear_instance_cache()
    with pytest.raises(InputError, match="check the address and the network"):
        brought("data.root", "s3://bucket/x", None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    type(s3).clear_instance_cache()
    with pytest.raises(InputError, match="locate credentials: check the credentials"):
        brought("data.root", "s3://bucket/x", None)
