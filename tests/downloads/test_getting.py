"""All files of a data set: mirrors, room, what is there already, and stops at any moment."""

import errno
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from debias.downloads import getting
from debias.downloads.getting import WORK, get
from debias.downloads.receipt import received_data
from debias.errors import InputError, OfflineError
from debias.presets import Preset, Source
from tests.downloads.server import Served

FACTS = {"title": "pets", "target": "cat", "bias": "place", "citation": "nobody"}
TREE = {"train/cat/1.jpg": b"cat" * 999, "test/dog/2.jpg": b"dog" * 999}


def packed(files, *, top=""):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(top + name, data)
    return content.getvalue()


NAME = "pets.receipt.json"
ARCHIVE = packed(TREE, top="pets-main/")


def digest(content, kind="sha256"):
    return f"{kind}:{hashlib.new(kind, content).hexdigest()}"


def pets(*sources):
    return Preset(**FACTS, reader="folder", sources=list(sources), name="pets")


def archive(at, **changes):
    options = {"file": "pets.zip", "unpack": ".", "inside": "pets-main", "digest": digest(ARCHIVE)}
    return Source("https", at, **options | changes)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "pets"


def files(root):
    """What is below the root, besides the receipt."""
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    found.pop(NAME, None)
    return found


def test_an_archive_and_a_file(server, root):
    table, label = b"a,b\n1,2\n", Served(b"a,b\n1,2\n")
    sources = [
        archive(server.serve("pets.zip", Served(ARCHIVE))),
        Source("https", server.serve("l", label), "tables/l.csv", digest(table, "md5")),
    ]
    get(pets(*sources), root)
    assert files(root) == TREE | {"tables/l.csv": table}
    receipt = json.loads((root / NAME).read_text())
    assert receipt["data"] == "pets"
    assert [one["file"] for one in receipt["files"]] == ["pets.zip", "tables/l.csv"]
    assert receipt["files"][0]["source"] == f"{server.url}/pets.zip"
    assert receipt["files"][1]["digest"] == digest(table)
    get(pets(*sources), root)  # nothing is fetched again
    assert label.seen == [""]


def test_a_removed_file_is_fetched_again(server, root):
    label = Served(b"l")
    preset = pets(
        archive(server.serve("pets.zip", Served(ARCHIVE))),
        Source("https", server.serve("l", label), "l.csv"),
    )
    get(preset, root)
    (root / "l.csv").unlink()
    get(preset, root)
    assert files(root) == TREE | {"l.csv": b"l"}
    assert label.seen == ["", ""]
    received = json.loads((root / NAME).read_text())["files"]
    assert [one["file"] for one in received] == ["pets.zip", "l.csv"]


def test_the_first_mirrors_are_dead_wrong_or_a_page(server, root, capsys):
    wrong = server.serve("wrong.zip", Served(packed({"pets-main/other": b"x"})))
    page = server.serve("page.zip", Served(b"<html>Quota exceeded</html>"))
    loop = server.serve("loop.zip", Served(status=301, target="/loop.zip"))
    mirrors = [f"{server.url}/dead.zip", wrong, page, loop]
    good = server.serve("pets.zip", Served(ARCHIVE))
    get(pets(*map(archive, mirrors), archive(good)), root)
    assert files(root) == TREE
    lines = capsys.readouterr().err.splitlines()
    for url, fault in zip(
        mirrors, ("HTTP 404", "the file is damaged", "a page", "in a loop"), strict=True
    ):
        assert any(line.startswith(f"{url}: ") and fault in line for line in lines), fault


def test_no_mirror_works(server, root):
    page = server.serve("page.zip", Served(b"<html>Quota exceeded</html>"))
    kaggle = Source("kaggle", "a/b")
    with pytest.raises(InputError) as error:
        get(pets(archive(f"{server.url}/dead.zip"), archive(page), kaggle), root)
    assert f"dead.zip: HTTP 404 Not Found; {page}: the host answered with a page" in str(
        error.value
    )
    assert f"put pets.zip into {root}" in str(error.value)
    assert "; other sources: https://www.kaggle.com/datasets/a/b;" in str(error.value)
    assert not root.exists()


def test_no_network_says_what_to_put_where(root):
    url = "http://no-such-host.invalid/pets.zip"
    with pytest.raises(OfflineError) as error:
        get(pets(archive(url)), root)
    assert str(error.value).startswith(
        f"no network (name not resolved): put pets.zip from {url} into {root}, and run the same"
    )
    assert f"`debias data check {root} as=pets`" in str(error.value)
    assert not root.exists()


def test_no_network_names_every_file_that_is_absent(root):
    root.mkdir(parents=True)
    (root / "b.csv").touch()
    names = ("a.csv", "b.csv", "c.csv")
    url = "http://no-such-host.invalid"
    mirrors = [Source("https", f"{url}/{n}{mirror}", n) for n in names for mirror in ("", "?2")]
    with pytest.raises(OfflineError) as error:
        get(pets(*mirrors), root)
    assert f"put a.csv from {url}/a.csv, c.csv from {url}/c.csv into {root}, and" in str(
        error.value
    )


def test_a_file_put_there_by_hand_is_used(root):
    root.mkdir(parents=True)
    (root / "pets.zip").write_bytes(ARCHIVE)
    get(pets(archive("http://no-such-host.invalid/pets.zip")), root)
    assert files(root) == TREE | {"pets.zip": ARCHIVE}
    assert json.loads((root / NAME).read_text())["files"][0]["source"] == "by hand"


def test_a_damaged_file_put_there_by_hand_is_refused(root):
    root.mkdir(parents=True)
    (root / "pets.zip").write_bytes(ARCHIVE[:100])
    with pytest.raises(InputError, match=r"pets.zip has not the digest sha256:.*move it away"):
        get(pets(archive("http://no-such-host.invalid/pets.zip")), root)
    assert files(root) == {"pets.zip": ARCHIVE[:100]}


def test_a_damaged_archive_without_a_digest(root):
    root.mkdir(parents=True)
    (root / "pets.zip").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"pets.zip: the archive is damaged.*; move it away$"):
        get(pets(archive("http://no-such-host.invalid/pets.zip", digest="")), root)
    assert files(root) == {"pets.zip": b"<html>"}


def test_a_full_disk_is_known_before(server, root, monkeypatch):
    monkeypatch.setattr(
        getting.shutil, "disk_usage", lambda _: SimpleNamespace(free=len(ARCHIVE) + 4999)
    )
    with pytest.raises(InputError, match=r"pets.zip needs 0 MB, and about 0 MB when unpacked; the"):
        get(pets(archive(server.serve("pets.zip", Served(ARCHIVE)), unpacked=5000)), root)
    assert not root.exists()
    monkeypatch.setattr(
        getting.shutil, "disk_usage", lambda _: SimpleNamespace(free=len(ARCHIVE) + 7000)
    )
    get(pets(archive(server.serve("pets.zip", Served(ARCHIVE)), unpacked=7000)), root)
    assert files(root) == TREE


@pytest.mark.parametrize("moment", ["download", "unpacking"])
def test_a_disk_that_becomes_full(server, root, monkeypatch, moment):
    place = "debias.downloads.getting." + ("fetch" if moment == "download" else "unpack")
    real = {"download": getting.fetch, "unpacking": getting.unpack}[moment]

    def full(first, second, *rest, **options):
        if moment == "download":
            second.write_bytes(ARCHIVE[:1000])
        else:
            (second / "half").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(second))

    served = Served(ARCHIVE)
    source = archive(server.serve("pets.zip", served))
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises(InputError, match=f"^no room left on the disk of {root}: make room"):
            get(pets(source), root)
    assert real
    assert set(files(root)) <= {
        f"{WORK}/{name}" for name in ("pets.zip.part", "pets.zip.whole", "lock")
    }
    get(pets(source), root)  # continues
    assert files(root) == TREE
    assert served.seen == (["bytes=1000-"] if moment == "download" else [""])


@pytest.mark.parametrize("name", ["../evil", "/evil"])
def test_an_archive_that_climbs_out_leaves_nothing(server, root, name):
    evil = packed({name: b"x"})
    source = archive(server.serve("evil.zip", Served(evil)), digest=digest(evil), inside="")
    with pytest.raises(InputError, match="evil' leads out of the folder"):
        get(pets(source), root)
    assert not root.exists()
    assert not list(root.parent.iterdir())


def test_files_of_the_user_are_never_overwritten(server, root):
    mine = root / "train" / "cat" / "1.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    source = archive(server.serve("pets.zip", Served(ARCHIVE)))
    with pytest.raises(InputError, match=r"1.jpg is there already, and pets.zip holds it too"):
        get(pets(source), root)
    assert mine.read_bytes() == b"mine"
    assert not (root / "test").exists()
    mine.unlink()
    get(pets(source), root)
    assert files(root) == TREE


@pytest.mark.parametrize("step", ["os.replace", "getting.received", "getting.write_receipt"])
@pytest.mark.parametrize("call", [0, 1, 2, 3])
def test_a_process_killed_between_two_steps_is_continued(server, root, monkeypatch, step, call):
    """The exception stands for the end of the process: nothing after it is cleaned up."""
    calls = iter(range(99))
    owner = os if step == "os.replace" else getting
    name = step.partition(".")[2]
    real = getattr(owner, name)

    def killed(*arguments):
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments)

    served = Served(ARCHIVE)
    table = Served(b"table")
    preset = pets(
        archive(server.serve("pets.zip", served)),
        Source("https", server.serve("t", table), "t.csv", digest(b"table")),
    )
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        patch.setattr(getting.shutil, "rmtree", lambda *_, **__: None)
        try:
            get(preset, root)
        except KeyboardInterrupt:
            assert NAME not in files(root)
    get(preset, root)
    assert files(root) == TREE | {"t.csv": b"table"}
    assert len(json.loads((root / NAME).read_text())["files"]) == 2
    assert [path.name for path in root.parent.iterdir()] == ["pets"]


@pytest.mark.parametrize("name", ["c.zip.1f.incomplete", "c.zip.lock"])
def test_an_unfinished_download_of_the_hub_is_kept(root, name):
    begun = root / WORK / "hub" / ".cache" / name
    begun.parent.mkdir(parents=True)
    begun.touch()
    with pytest.raises(OfflineError):
        get(pets(archive("http://no-such-host.invalid/pets.zip")), root)
    assert begun.exists() == name.endswith("incomplete")


def test_two_at_a_time(server, root):
    from filelock import FileLock

    (root / WORK).mkdir(parents=True)
    with (
        FileLock(root / WORK / "lock"),
        pytest.raises(InputError, match="another `debias data get` is working in"),
    ):
        get(pets(archive(server.serve("pets.zip", Served(ARCHIVE)))), root)
    assert Path(root / WORK / "lock").exists()


def test_two_data_sets_in_one_folder_have_two_receipts(server, root):
    get(pets(archive(server.serve("pets.zip", Served(ARCHIVE)))), root)
    label = Source("https", server.serve("l", Served(b"l")), "l.csv")
    get(Preset(**FACTS, reader="folder", name="other", sources=[label]), root)
    assert received_data(root) == ["other", "pets"]
    assert files(root).keys() == {*TREE, "l.csv", "other.receipt.json"}
