"""Unpacks tar and zip archives of strangers: nothing is written outside the folder.

Only regular files and folders are written, so that the same checks hold for both formats and for
every version of Python. (The filters of ``tarfile`` are missing in Python before 3.10.12 and 3.11.4
and do not limit the size.)
"""

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from debias.downloads.faults import SourceError
from debias.errors import printable, shortened
from debias.progress import LongWork

#: The most files of an archive.
MOST_FILES = 10_000_000
#: The most bytes that an archive may become if its unpacked size is not published: so many per byte
#: of it, and any archive ``SMALL`` bytes.
MOST_GROWTH = 100
SMALL = 10**9
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError),
    *(gzip.BadGzipFile, NotImplementedError),
)
#: A folder that macOS adds to zip files.
_IGNORED = "__MACOSX"


class _Entry(NamedTuple):
    """A file or folder of an archive. ``content`` is ``None`` for a folder."""

    name: str
    size: int
    content: IO[bytes] | None


def unpack(archive: Path, folder: Path, *, inside: str = "", most_bytes: int = 0) -> int:
    """Unpack a tar or zip archive into a folder; return the number of files.

    Args:
        archive: the archive: zip, or tar with any compression that Python knows.
        folder: an empty folder. The caller removes it if there is an error.
        inside: a folder in the archive. Only its content is unpacked, without its name.
        most_bytes: the most bytes of all files together; 0 means the larger of
            ``MOST_GROWTH`` per byte of the archive and ``SMALL``.

    Raises:
        SourceError: the archive is damaged, has no file (below ``inside``), is too large, or has an
            entry that is a link or a device, leads out of the folder, or occurs twice.
        OSError: the disk is full, or the folder cannot be written.
    """
    limit = most_bytes or max(SMALL, MOST_GROWTH * archive.stat().st_size)
    files = written = 0
    with _entries(archive) as entries, LongWork(f"unpacking {archive.stem}", 0, "file") as work:
        for entry in entries:
            path = _relative(entry.name, inside)
            written += entry.size
            files += 1
            if written > limit:
                raise SourceError(f"the archive is larger than {limit:,} bytes when unpacked")
            if files > MOST_FILES:
                raise SourceError(f"the archive has more than {MOST_FILES:,} files")
            if path is not None:
                work.add(_write(entry, folder / path))
        if not work.items:
            raise SourceError(f"the archive has no file{inside and ' in ' + inside}")
        return work.items


@contextmanager
def _entries(archive: Path) -> Iterator[Iterator[_Entry]]:
    """The entries of an archive, with its damage as a :class:`SourceError`."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed, closing(_zip_entries(packed)) as entries:
                yield entries
        else:
            with tarfile.open(archive) as tape, closing(_tar_entries(tape)) as entries:
                yield entries
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
        raise SourceError(f"the archive is damaged ({reason})") from error


def _zip_entries(packed: zipfile.ZipFile) -> Generator[_Entry, None, None]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(info.filename, "is a link or a device")
        if info.flag_bits & 1:
            raise _refused(info.filename, "needs a password")
        if info.is_dir():
            yield _Entry(info.filename, 0, None)
        else:
            with packed.open(info) as content:
                yield _Entry(info.filename, info.file_size, content)


def _tar_entries(tape: tarfile.TarFile) -> Generator[_Entry, None, None]:
    while (member := tape.next()) is not None:
        if not (member.isreg() or member.isdir()):
            raise _refused(member.name, "is a link or a device")
        tape.members = []  # type: ignore[attr-defined]  # tarfile would keep all of them in memory
        yield _Entry(member.name, member.size, tape.extractfile(member))


def _relative(name: str, inside: str) -> str | None:
    """The path of an entry below the folder; ``None`` if the entry is not unpacked."""
    parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
    drive = "".join(parts[:1])[1:2] == ":"
    if name.startswith(("/", "\\")) or ".." in parts or drive or "\0" in name:
        raise _refused(name, "leads out of the folder")
    parts = [part for part in parts if part]
    wanted = inside.split("/") if inside else []
    if not parts or parts[0] == _IGNORED or parts[: len(wanted)] != wanted:
        return None
    return "/".join(parts[len(wanted) :]) or None


def _write(entry: _Entry, path: Path) -> int:
    """Write an entry; return the number of written files."""
    try:
        (path.parent if entry.content else path).mkdir(parents=True, exist_ok=True)
        if entry.content is None:
            return 0
        with path.open("xb") as file:
            shutil.copyfileobj(entry.content, file, 1 << 20)
    except (FileExistsError, NotADirectoryError):
        raise _refused(entry.name, "occurs twice") from None
    if os.path.getsize(path) != entry.size:
        raise SourceError(f"the archive is damaged ({entry.name} is cut off)")
    return 1


def _refused(name: str, reason: str) -> SourceError:
    return SourceError(f"the archive is refused: {shortened(printable(name))!r} {reason}")
