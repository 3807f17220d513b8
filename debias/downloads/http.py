"""Downloads one file over HTTP, and continues it by ``Range`` after a broken connection.

The library `pooch` removes an unfinished download. This module keeps it, with the server's mark of
the file (``ETag`` or ``Last-Modified``), so that only the same file is continued.
"""

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import IO, NamedTuple

from debias import __version__
from debias.downloads.faults import SourceError, UnreachableError
from debias.files import write_atomically
from debias.progress import LongWork

#: Seconds without a byte after which a connection counts as broken.
TIMEOUT = 30.0
#: Connections in a row that give no byte, before a source is given up.
TRIES = 3
#: Seconds before the second connection; twice as many before each further one.
PAUSE = 1.0
#: Answers of a busy server, which may work at the next try.
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_CHUNK = 1 << 18
_MEGABYTE = 10**6
_PAGES = (b"<!doctype html", b"<html")
_BROKEN = (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException)

#: Called before bytes are written, with the number of bytes to come, if the server gives it.
CheckRoom = Callable[[int | None], None]


class _Answer(NamedTuple):
    """Where the bytes of an answer begin in the file, and how many the whole file has."""

    start: int
    total: int | None


def download(
    url: str,
    part: Path,
    *,
    check_room: CheckRoom,
    unmarked: bool = False,
) -> None:
    """Download a file, and continue where an earlier call stopped.

    A file beside ``part`` with the suffix ``.json`` keeps the address and the server's mark.

    Args:
        url: address of the file, http or https.
        part: the file to write. An unfinished one is continued if the server still has the same
            file and accepts ranges, and is written from the beginning otherwise.
        check_room: raises an error if the disk has no room for the given number of bytes.
        unmarked: whether to continue a file without the server's mark, because the caller checks a
            digest.

    Raises:
        SourceError: the server refuses, answers with a page, redirects in a loop, or gives no byte
            at several tries in a row.
    """
    failures = 0
    while True:
        before = _length(part)
        try:
            if _transfer(url, part, check_room, unmarked):
                _note(part).unlink(missing_ok=True)
                return
            fault: SourceError = SourceError("the connection closed early")
        except _BROKEN as error:
            if _is_whole(error, part):
                _note(part).unlink(missing_ok=True)
                return
            fault = _fault(error, part)
        failures = 0 if _length(part) > before else failures + 1
        if failures >= TRIES:
            raise fault
        time.sleep(PAUSE * 2 ** max(0, failures - 1))


def _transfer(url: str, part: Path, check_room: CheckRoom, unmarked: bool) -> bool:
    """Receive bytes until the connection ends; whether the file is then complete."""
    request = urllib.request.Request(url, headers=_headers(url, part, unmarked))
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        answer = _answer(response.status, response.headers, _length(part))
        check_room(None if answer.total is None else answer.total - answer.start)
        begin = response.read(_CHUNK)
        if answer.start == 0:
            if begin.lstrip()[:20].lower().startswith(_PAGES):  # before a part is overwritten
                raise SourceError("the host answered with a page (login or quota), not the file")
            write_atomically(_note(part), json.dumps([url, _mark(response.headers)]))
        _receive(begin, response, part, answer)
    return answer.total is None or _length(part) == answer.total


def _headers(url: str, part: Path, unmarked: bool) -> dict[str, str]:
    headers = {"User-Agent": f"debias/{__version__}", "Accept-Encoding": "identity"}
    if not (length := _length(part)):
        return headers
    begun, mark = "", ""
    with suppress(OSError, ValueError):  # a damaged note means that nothing is known
        begun, mark = json.loads(_note(part).read_text(encoding="utf-8"))
    if begun == url and mark:
        return headers | {"Range": f"bytes={length}-", "If-Range": mark}
    return headers | {"Range": f"bytes={length}-"} if unmarked else headers


def _mark(headers: Message) -> str:
    """What identifies the version of the server's file: a strong ETag, or a time of change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _answer(status: int, headers: Message, length: int) -> _Answer:
    if status != http.client.PARTIAL_CONTENT:
        count = headers.get("Content-Length", "")
        return _Answer(0, int(count) if count.isdecimal() else None)
    span, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if span.partition("-")[0] != str(length):
        raise http.client.HTTPException(f"the server sent the bytes {span}, not from {length} on")
    return _Answer(length, int(total) if total.isdecimal() else None)


def _receive(chunk: bytes, response: IO[bytes], part: Path, answer: _Answer) -> None:
    """Write the first bytes of an answer, and the rest of it."""
    length = answer.start
    with (
        part.open("ab" if length else "wb") as file,
        megabytes(part.stem, answer.total or 0) as received,
    ):
        while chunk:
            file.write(chunk)
            length += len(chunk)
            received(length)
            chunk = response.read(_CHUNK)


@contextmanager
def megabytes(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a download.

    Args:
        name: name of the file.
        total: its number of bytes; 0 if unknown.

    Yields:
        A function to call with the number of bytes so far.
    """
    with LongWork(f"downloading {name}", total // _MEGABYTE, "MB") as work:
        yield lambda length: work.add(length // _MEGABYTE - work.items)


def _is_whole(error: Exception, part: Path) -> bool:
    """Whether the server has no byte beyond those that are there."""
    return (
        isinstance(error, urllib.error.HTTPError)
        and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE
        and error.headers.get("Content-Range") == f"bytes */{_length(part)}"
    )


def _fault(error: Exception, part: Path) -> SourceError:
    """The fault to report if no further try works; raised at once if no try can work."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # longer than the server's file, which has changed
        elif 300 <= error.code < 400:
            raise SourceError("the host redirects in a loop") from None
        elif error.code not in _BUSY:
            raise SourceError(f"HTTP {error.code} {error.reason}") from None
        return SourceError(f"HTTP {error.code} {error.reason}")
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return SourceError("the host sends nothing")
    if isinstance(reason, socket.gaierror):
        return UnreachableError("name not resolved")
    if isinstance(reason, OSError) and not isinstance(reason, ConnectionResetError):
        return UnreachableError(reason.strerror or str(reason))
    return SourceError(str(reason) or "the connection broke")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
