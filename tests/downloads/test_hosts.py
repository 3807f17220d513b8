"""Sources on the Hub, on Drive and on Zenodo: what is asked of the libraries, and their errors."""

import hashlib
import sys
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from debias.downloads.faults import SourceError, UnreachableError
from debias.downloads.hosts import address, fetch
from debias.presets import Source

CONTENT = b"content"
DIGEST = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


def room(missing):
    """The disk has room for everything."""


def test_addresses():
    assert address(Source("https", "https://a.b/c.zip")) == "https://a.b/c.zip"
    zenodo = Source("zenodo", "2535967", "CIFAR-10-C.tar")
    assert address(zenodo) == "https://zenodo.org/records/2535967/files/CIFAR-10-C.tar?download=1"
    assert address(Source("hf", "a/b", "c.zip")) == "https://huggingface.co/datasets/a/b"
    assert address(Source("drive", "1x")) == "https://drive.google.com/file/d/1x/view"
    assert address(Source("kaggle", "a/b")) == "https://www.kaggle.com/datasets/a/b"
    assert address(Source("manual", "https://a.b")) == "https://a.b"


def refused(kind, *arguments):
    """An error of the Hub without its response."""
    error = kind.__new__(kind)
    Exception.__init__(error, *arguments)
    return error


def test_a_file_of_the_hub(tmp_path, monkeypatch):
    asked = []

    def download(*names, repo_type, local_dir):
        asked.append((*names, repo_type))
        local_dir.mkdir()
        (local_dir / "c.zip").write_bytes(CONTENT)
        return str(local_dir / "c.zip")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    fetch(Source("hf", "a/b", "c.zip", DIGEST), tmp_path / "c.zip.part", room)
    assert asked == [("a/b", "c.zip", "dataset")]
    assert (tmp_path / "c.zip.part").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (refused(errors.GatedRepoError), SourceError, "the repository is gated: accept its terms"),
        (refused(errors.LocalEntryNotFoundError), UnreachableError, "cannot be reached"),
        (
            refused(errors.RepositoryNotFoundError, "\n404 no such\nmore"),
            SourceError,
            "^404 no such$",
        ),
    ],
)
def test_errors_of_the_hub(error, kind, message, tmp_path, monkeypatch):
    def download(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(kind, match=message):
        fetch(Source("hf", "a/b", "c.zip"), tmp_path / "c.zip.part", room)


class Refused(Exception):
    """Takes the place of an error of a library that is not installed here."""


class Unconnected(Refused):
    """The same, for a connection."""


@pytest.fixture
def drive(monkeypatch):
    """Stands for gdown, and calls ``act`` with the arguments of a download."""
    made = SimpleNamespace(DownloadError=type("DownloadError", (Exception,), {}), act=None)
    made.download = lambda **arguments: made.act(**arguments)
    requests = SimpleNamespace(ConnectionError=Unconnected, RequestException=Refused)
    monkeypatch.setitem(sys.modules, "gdown", made)
    monkeypatch.setitem(sys.modules, "requests", requests)
    return made


def test_a_file_of_drive(drive, tmp_path):
    def act(*, id, output, quiet, resume, progress):
        assert (id, quiet, resume) == ("1x", True, True)
        with open(output, "wb") as file:
            file.write(CONTENT)
        progress(len(CONTENT), None)

    drive.act = act
    fetch(Source("drive", "1x", "c.zip", DIGEST), tmp_path / "c.zip.part", room)
    assert (tmp_path / "c.zip.part").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kind", "raised", "message"),
    [
        ("quota", SourceError, "Google Drive does not give it: Too many users"),
        (Unconnected, UnreachableError, "Google Drive cannot be reached"),
        (Refused, SourceError, "Too many users"),
    ],
)
def test_errors_of_drive(drive, kind, raised, message, tmp_path):
    def act(**_):
        raise (drive.DownloadError if kind == "quota" else kind)("\n  Too many users\n\nmore")

    drive.act = act
    with pytest.raises(raised, match=f"^{message}$"):
        fetch(Source("drive", "1x", "c.zip"), tmp_path / "c.zip.part", room)


def test_drive_needs_an_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(SourceError, match=r"pip install 'debias-vision\[download\]'"):
        fetch(Source("drive", "1x", "c.zip"), tmp_path / "c.zip.part", room)


def test_a_file_that_was_joined_from_two_versions_is_fetched_again(drive, tmp_path):
    part = tmp_path / "c.zip.part"
    part.write_bytes(b"old ")
    calls = []

    def act(*, output, **_):
        calls.append(part.exists())
        with open(output, "ab") as file:
            file.write(CONTENT)

    drive.act = act
    fetch(Source("drive", "1x", "c.zip", DIGEST), part, room)
    assert calls == [True, False]
    with pytest.raises(SourceError, match="its digest is not md5:"):
        fetch(Source("drive", "1x", "c.zip", DIGEST.replace("5:", "5:0")[:36]), part, room)
    assert not part.exists()
