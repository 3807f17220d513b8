"""A local copy has the files of the storage, whole, and each is brought once."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from debias.errors import InputError
from debias.storage import copies
from debias.storage.copies import Copy, listing
from debias.storage.urls import copies_folder, local_copy, opened

URL = "memory://bucket/data"
FILES = {"a/0.bin": b"0123456789", "a/1.bin": b"abc", "b.bin": b"", "big.bin": bytes(range(100))}


def fill(files, contents=FILES):
    for name, content in contents.items():
        files.pipe_file(f"/bucket/data/{name}", content)


def copy(url=URL):
    return Copy(opened("data.root", url), local_copy("data.root", url), copies_folder("", url))


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def requests(memory, monkeypatch):
    """The ranges that are asked for, as (file, start, end). A callable may refuse one."""
    seen = SimpleNamespace(ranges=[], refuse=lambda: False)
    whole = memory.cat_file

    def cat_file(path, start=None, end=None):
        if seen.refuse():
            raise OSError("the connection broke")
        seen.ranges.append((path.rpartition("/")[2], start, end))
        return whole(path, start=start, end=end)

    monkeypatch.setattr(type(memory), "cat_file", staticmethod(cat_file))
    monkeypatch.setattr(copies, "CHUNK", 30)
    monkeypatch.setattr(copies, "THREADS", 1)
    fill(memory)
    return seen


def test_copy_has_contents_and_times_of_the_objects(memory, cache):
    fill(memory)
    assert copy().pull() == len(FILES)
    folder = cache / "storage/memory/bucket/data"
    assert contents(folder) == FILES
    for name, file in listing(copy().place).items():
        assert (folder / name).stat().st_mtime_ns == file.modified


def test_second_pull_brings_only_what_has_changed(requests, memory, cache):
    copy().pull()
    (copy().folder / "made.csv").write_text("by a reader")
    requests.ranges.clear()
    copy().pull()
    assert not requests.ranges
    fill(memory, {"a/1.bin": b"xyz"})  # of the same size
    memory.rm("/bucket/data/a/0.bin")
    copy().pull()
    assert requests.ranges == [("1.bin", 0, 3)]
    expected = FILES | {"a/1.bin": b"xyz", "made.csv": b"by a reader"}
    assert contents(copy().folder) == {k: v for k, v in expected.items() if k != "a/0.bin"}


def test_local_change_is_repaired(requests, cache):
    copy().pull()
    (copy().folder / "a/1.bin").write_bytes(b"???")
    copy().pull()
    assert contents(copy().folder) == FILES


@pytest.mark.parametrize("kept", range(6))
def test_interrupted_pull_continues(requests, cache, kept):
    """113 bytes are six requests of at most 30 bytes; none is made twice after a broken one."""
    requests.refuse = lambda: len(requests.ranges) == kept
    with pytest.raises(OSError, match="broke"):
        copy().pull()
    requests.refuse = lambda: False
    copy().pull()
    assert contents(copy().folder) == FILES
    assert len(requests.ranges) == len(set(requests.ranges)) == 6


def test_change_during_the_pull_is_brought_too(requests, memory, cache):
    requests.refuse = lambda: bool(
        len(requests.ranges) == 3 and fill(memory, {"a/0.bin": b"new words.", "late.bin": b"l"})
    )
    copy().pull()
    assert contents(copy().folder) == FILES | {"a/0.bin": b"new words.", "late.bin": b"l"}


def test_storage_that_always_changes_is_refused(requests, memory, cache):
    requests.refuse = lambda: bool(fill(memory, {"a/1.bin": b"%03d" % len(requests.ranges)}))
    with pytest.raises(InputError, match="changes while it is copied"):
        copy().pull()


def test_live_pull_takes_what_keeps_still(requests, memory, cache):
    """A sweep writes all the time: its last changes come later, and no file is torn."""

    def change():
        fill(memory, {"a/1.bin": b"%02d" % len(requests.ranges)})  # shorter than was listed
        memory.store.pop("/bucket/data/a/0.bin", None)

    requests.refuse = change
    copy().pull(live=True)
    requests.refuse = lambda: False
    still = {name: content for name, content in FILES.items() if not name.startswith("a/")}
    assert still.items() <= contents(copy().folder).items()
    copy().pull()
    assert contents(copy().folder) == still | {"a/1.bin": memory.cat_file("/bucket/data/a/1.bin")}


def test_change_of_equal_size_and_time_is_brought(requests, memory, cache, monkeypatch):
    """The times of S3 are whole seconds: only the mark tells two contents apart."""
    stored = copies._stored
    monkeypatch.setattr(copies, "_stored", lambda info: stored(info)._replace(modified=0))
    requests.refuse = lambda: bool(
        len(requests.ranges) == 3 and fill(memory, {"a/0.bin": b"new words."})
    )
    copy().pull()
    assert contents(copy().folder) == FILES | {"a/0.bin": b"new words."}


def test_single_file(memory, cache):
    fill(memory)
    assert copy(f"{URL}/a/1.bin").pull() == 1
    assert (cache / "storage/memory/bucket/data/a/1.bin").read_bytes() == b"abc"


def test_names_that_leave_the_folder_are_refused(memory, cache, tmp_path):
    memory.pipe_file("/bucket/y", b"y")
    memory.store["/bucket/data/../../x"] = memory.store["/bucket/y"]
    with pytest.raises(InputError, match="leaves its folder"):
        copy().pull()


def test_objects_that_mark_a_folder_are_no_files(memory, cache, monkeypatch):
    """The console of S3 makes an empty object ``a/`` for a folder ``a``."""
    fill(memory)
    find = type(memory).find
    markers = {path: {"size": 0} for path in ("/bucket/data/", "/bucket/data/a/")}
    monkeypatch.setattr(type(memory), "find", lambda *args, **how: markers | find(*args, **how))
    assert copy().pull() == len(FILES)
    assert contents(copy().folder) == FILES


def test_full_disk_is_refused_first(memory, cache, monkeypatch):
    fill(memory)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=112))
    with pytest.raises(InputError, match="make room, or name another cache folder"):
        copy().pull()
    assert not contents(cache / "storage/memory")
