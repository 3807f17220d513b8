"""Fetches one file from one source, by the kind of its host."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from debias.downloads.digests import has_digest
from debias.downloads.faults import SourceError, UnreachableError
from debias.downloads.http import CheckRoom, download, megabytes
from debias.presets import Source

#: Kinds of sources that are fetched without the user.
AUTOMATIC = ("https", "zenodo", "hf", "drive")
_ZENODO = "https://zenodo.org/records/{record}/files/{file}?download=1"


def address(source: Source) -> str:
    """The address of a source in the form that a browser opens."""
    if source.at.startswith(("http://", "https://")):
        return source.at
    if source.kind == "zenodo":
        return _ZENODO.format(record=source.at, file=source.file)
    pages = {
        "hf": "https://huggingface.co/datasets/{}",
        "drive": "https://drive.google.com/file/d/{}/view",
        "kaggle": "https://www.kaggle.com/datasets/{}",
    }
    return pages.get(source.kind, "{}").format(source.at)


def fetch(source: Source, part: Path, check_room: CheckRoom) -> None:
    """Fetch the file of a source, and check its digest.

    Args:
        source: a source of a kind in ``AUTOMATIC``.
        part: the file to write. An unfinished one of an earlier call is continued.
        check_room: raises an error if the disk has no room for the given number of bytes.

    Raises:
        SourceError: the source does not give the file, or gives another one.
    """
    begun = part.exists()
    _FETCHERS.get(source.kind, _http)(source, part, check_room)
    if begun and not has_digest(part, source.digest):
        # the two pieces may come from two versions of the file
        part.unlink()
        _FETCHERS.get(source.kind, _http)(source, part, check_room)
    if not has_digest(part, source.digest):
        part.unlink()
        raise SourceError(f"the file is damaged or another one: its digest is not {source.digest}")


def _http(source: Source, part: Path, check_room: CheckRoom) -> None:
    unmarked = bool(source.digest)
    download(address(source), part, check_room=check_room, unmarked=unmarked)


def _hub(source: Source, part: Path, check_room: CheckRoom) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    check_room(source.size or None)
    try:
        made = huggingface_hub.hf_hub_download(
            source.at, source.file, repo_type="dataset", local_dir=part.parent / "hub"
        )
    except errors.GatedRepoError:
        raise SourceError(
            "the repository is gated: accept its terms on its page, then run `hf auth login`"
        ) from None
    except errors.LocalEntryNotFoundError:
        raise UnreachableError("the Hub cannot be reached") from None
    except errors.HfHubHTTPError as error:
        raise SourceError(_first_line(error)) from None
    Path(made).replace(part)


def _drive(source: Source, part: Path, check_room: CheckRoom) -> None:
    try:
        import gdown
        import requests
    except ImportError:
        raise SourceError(
            "Google Drive needs the extra: pip install 'debias-vision[download]'"
        ) from None
    check_room(source.size or None)
    try:
        with megabytes(source.file, source.size) as received:
            gdown.download(
                id=source.at,
                output=str(part),
                quiet=True,
                resume=True,
                progress=lambda done, _total: received(done),
            )
    except gdown.DownloadError as error:
        raise SourceError(f"Google Drive does not give it: {_first_line(error)}") from None
    except requests.ConnectionError:
        raise UnreachableError("Google Drive cannot be reached") from None
    except requests.RequestException as error:
        raise SourceError(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


_FETCHERS: dict[str, Callable[[Source, Path, CheckRoom], Any]] = {"hf": _hub, "drive": _drive}
