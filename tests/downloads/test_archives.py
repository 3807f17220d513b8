"""Archives of strangers: what is right is unpacked, and nothing is written elsewhere."""

import io
import stat
import tarfile
import zipfile

import pytest

from debias.downloads import archives
from debias.downloads.archives import unpack
from debias.downloads.faults import SourceError

FILES = {"set-1/train/a.jpg": b"aaa", "set-1/test/b.jpg": b"bb", "set-1/README": b"read"}


def zipped(path, files, *, mode=0):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            packed.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def taped(path, files, *, kind=tarfile.REGTYPE, link=""):
    with tarfile.open(path, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w") as tape:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, len(content)
            tape.addfile(member, io.BytesIO(content))
    return path


PACKERS = {"set.zip": zipped, "set.tar": taped, "set.tar.gz": taped, "set.tar.xz": taped}


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "place" / "out"
    folder.mkdir(parents=True)
    return folder


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", PACKERS)
def test_a_whole_archive(name, tmp_path, out):
    archive = PACKERS[name](tmp_path / name, [*FILES.items(), ("__MACOSX/set-1/._a", b"junk")])
    assert unpack(archive, out) == 3
    assert tree(out) == FILES


@pytest.mark.parametrize("name", ["set.zip", "set.tar"])
def test_one_folder_of_an_archive(name, tmp_path, out):
    archive = PACKERS[name](tmp_path / name, FILES.items())
    assert unpack(archive, out, inside="set-1/train") == 1
    assert tree(out) == {"a.jpg": b"aaa"}
    with pytest.raises(SourceError, match="has no file in set-2"):
        unpack(archive, out, inside="set-2")


def test_folders_may_be_empty_and_named(tmp_path, out):
    archive = zipped(tmp_path / "a.zip", [("set/", b""), ("set/empty/", b""), ("set/a", b"a")])
    assert unpack(archive, out) == 1
    assert (out / "set" / "empty").is_dir()


def test_a_folder_packed_by_its_dot(tmp_path, out):
    """As by ``tar -C folder .``, whose first entry is the folder itself."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.jpg").write_bytes(b"aaa")
    with tarfile.open(tmp_path / "a.tar", "w") as tape:
        tape.add(tmp_path / "folder", ".")
    assert unpack(tmp_path / "a.tar", out) == 1
    assert tree(out) == {"a.jpg": b"aaa"}


@pytest.mark.parametrize("packer", [zipped, taped])
@pytest.mark.parametrize(
    "name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "..\\out.txt", "C:\\out.txt"]
)
def test_an_entry_that_climbs_out(packer, name, tmp_path, out):
    archive = packer(tmp_path / ("a.zip" if packer is zipped else "a.tar"), [(name, b"evil")])
    with pytest.raises(SourceError, match=r"out.txt' leads out of the folder$"):
        unpack(archive, out)
    assert tree(tmp_path).keys() == {archive.name}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_of_a_tape(kind, tmp_path, out):
    archive = taped(tmp_path / "a.tar", [("link", b"")], kind=kind, link="../../target")
    with pytest.raises(SourceError, match="'link' is a link or a device"):
        unpack(archive, out)
    assert not list(out.iterdir())


def test_links_of_a_zip(tmp_path, out):
    archive = zipped(tmp_path / "a.zip", [("link", b"../target")], mode=stat.S_IFLNK | 0o777)
    with pytest.raises(SourceError, match="'link' is a link or a device"):
        unpack(archive, out)


def test_an_entry_that_occurs_twice(tmp_path, out):
    for files in (
        [("a", b"1"), ("a", b"2")],
        [("a/b", b"1"), ("a", b"2")],
        [("b", b""), ("b/c", b"")],
    ):
        archive = taped(tmp_path / "a.tar", files)
        with pytest.raises(SourceError, match="occurs twice"):
            unpack(archive, out)
        for path in out.rglob("*"):
            assert path.stat().st_size != 2


def test_a_bomb(tmp_path, out, monkeypatch):
    archive = zipped(tmp_path / "a.zip", [("zeros", bytes(500_000))])
    assert archive.stat().st_size < 5000
    with monkeypatch.context() as patch:
        patch.setattr(archives, "SMALL", 1)
        with pytest.raises(SourceError, match=r"is larger than [0-9,]+ bytes when unpacked"):
            unpack(archive, out)
    with pytest.raises(SourceError, match="is larger than 499,999 bytes"):
        unpack(archive, out, most_bytes=499_999)
    assert not list(out.iterdir())
    assert unpack(archive, out, most_bytes=500_000) == 1
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    with pytest.raises(SourceError, match="more than 2 files"):
        unpack(zipped(tmp_path / "b.zip", FILES.items()), out)


@pytest.mark.parametrize("name", PACKERS)
def test_a_damaged_archive(name, tmp_path, out):
    archive = PACKERS[name](tmp_path / name, [(f"{i}", bytes([i]) * 5000) for i in range(9)])
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SourceError, match=r"^the archive is damaged"):
        unpack(archive, out)
    archive.write_bytes(b"<html>no archive</html>")
    with pytest.raises(SourceError, match=r"^the archive is damaged"):
        unpack(archive, out)
