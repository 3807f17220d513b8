"""Gets every file of a data set: sources in order, room first, and nothing half-done left.

All work happens in a hidden folder below the root. What is complete and right is moved to its
place, and the receipt then names it. After any stop, the next call continues.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from debias.downloads.archives import unpack
from debias.downloads.digests import has_digest
from debias.downloads.faults import SourceError, UnreachableError
from debias.downloads.hosts import AUTOMATIC, address, fetch
from debias.downloads.receipt import Receipt, Received, read_receipt, received, write_receipt
from debias.errors import InputError, OfflineError, shown
from debias.presets import Preset, Source
from debias.progress import say

#: Folder below the root that holds unfinished files.
WORK = ".debias_get"
#: Bytes that an archive may become, for each byte of its published size when unpacked.
SLACK = 1.1
_MB = 1e6


def get(preset: Preset, root: Path) -> Receipt:
    """Get the files of a data set that are not there yet. The terms must be accepted.

    A file that the user put into ``root`` is used in place of a download.

    Raises:
        OfflineError: no host can be reached.
        InputError: no source gives a file, the disk has no room, or something is in the way.
    """
    receipt = read_receipt(root, preset.name)
    with _working(root) as work:
        for file, sources in automatic(preset).items():
            if not _is_there(receipt, sources[0], root):
                one = _get_file(preset, file, sources, root, work)
                others = (other for other in receipt.files if other.file != file)
                receipt = replace(receipt, files=(*others, one))
                write_receipt(root, receipt)
            _clear(work, file)
    return receipt


def _is_there(receipt: Receipt, source: Source, root: Path) -> bool:
    """Whether a file was received. One that is not unpacked may have been removed since then."""
    return receipt.has(source.file) and (bool(source.unpack) or (root / source.file).is_file())


def automatic(preset: Preset) -> dict[str, list[Source]]:
    """The sources of each file that can be fetched without the user, in order."""
    files: dict[str, list[Source]] = {}
    for source in preset.sources:
        if _is_automatic(source):
            files.setdefault(source.file, []).append(source)
    return files


def _is_automatic(source: Source) -> bool:
    return bool(source.file) and source.kind in AUTOMATIC


def by_hand(preset: Preset) -> list[Source]:
    """Sources of files that only the user can fetch.

    A source without ``file`` has the whole data set. It is needed only if nothing is automatic.
    """
    fetched = automatic(preset)
    hand = [one for one in preset.sources if one.kind != "made" and not _is_automatic(one)]
    return [one for one in hand if (one.file not in fetched if one.file else not fetched)]


@contextmanager
def _working(root: Path) -> Iterator[Path]:
    """The hidden folder of unfinished files, for this process alone."""
    work = root / WORK
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            for draft in work.glob("*.unpacking"):
                shutil.rmtree(draft)
            try:
                yield work
            finally:
                _remove_if_finished(work, root)
    except Timeout:
        raise InputError(f"another `debias data get` is working in {root}: wait for it") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"no room left on the disk of {root}: make room, then run the same command again. It "
            "continues"
        ) from error


def _remove_if_finished(work: Path, root: Path) -> None:
    """Remove the hidden folder if nothing in it can be continued, and an empty root."""
    # huggingface_hub names an unfinished file so
    unfinished = any(work.rglob("*.incomplete"))
    if not unfinished and {path.name for path in work.iterdir()} <= {"lock", "hub"}:
        shutil.rmtree(work)
        if not any(root.iterdir()):
            root.rmdir()


def _get_file(preset: Preset, file: str, sources: list[Source], root: Path, work: Path) -> Received:
    """Get one file from the first source that works, and put it in its place."""
    faults: list[tuple[Source, SourceError]] = []
    whole = _work_file(work, file, "whole")
    if (root / file).is_file():
        return _own(sources, root / file, whole, root)
    for source in sources:
        try:
            if not whole.exists():
                _download(source, whole, root)
            return _placed(source, whole, whole, root, address(source))
        except SourceError as error:
            say(f"{address(source)}: {error}")
            faults.append((source, error))
            whole.unlink(missing_ok=True)
    raise _failure(preset, file, faults, root)


def _work_file(work: Path, file: str, state: str) -> Path:
    """Where a file is while it is incomplete: its ``state`` is part, whole or unpacked."""
    return work / f"{file.replace('/', '_')}.{state}"


def _clear(work: Path, file: str) -> None:
    """Remove what is left of a file that the receipt names."""
    _work_file(work, file, "whole").unlink(missing_ok=True)
    shutil.rmtree(_work_file(work, file, "unpacked"), ignore_errors=True)


def _own(sources: list[Source], own: Path, whole: Path, root: Path) -> Received:
    """Use a file that the user put there."""
    source = next((one for one in sources if has_digest(own, one.digest)), None)
    if source is None:
        digests = " or ".join(one.digest for one in sources)
        raise InputError(
            f"{own} has not the digest {digests}: it is damaged or another file; move it away"
        )
    try:
        return _placed(source, own, whole, root, "by hand")
    except SourceError as error:
        raise InputError(f"{own}: {error}; move it away") from error


def _download(source: Source, whole: Path, root: Path) -> None:
    say(f"{source.file} from {address(source)}")
    part = whole.with_suffix(".part")
    fetch(source, part, lambda missing: _check_room(source, root, missing))
    os.replace(part, whole)


def _check_room(source: Source, root: Path, missing: int | None) -> None:
    """Raise an error if the disk has no room for a download and for what it becomes."""
    download = missing or source.size
    unpacked = (source.unpacked or source.size or download) if source.unpack else 0
    free = shutil.disk_usage(root).free
    if download + unpacked > free:
        more = f", and about {unpacked / _MB:,.0f} MB when unpacked" if unpacked else ""
        raise InputError(
            f"{source.file} needs {download / _MB:,.0f} MB{more}; the disk of {root} has "
            f"{free / _MB:,.0f} MB left: make room, or give another root"
        )


def _placed(source: Source, archive: Path, whole: Path, root: Path, origin: str) -> Received:
    """Unpack a complete file, or move it to its place; return its line of the receipt."""
    one = received(archive, source.file, origin)
    if source.unpack:
        _unpack(source, archive, whole.with_suffix(".unpacked"), root / source.unpack)
    elif archive == whole:
        (root / source.file).parent.mkdir(parents=True, exist_ok=True)
        os.replace(whole, root / source.file)
    return one


def _unpack(source: Source, archive: Path, unpacked: Path, target: Path) -> None:
    """Unpack an archive, and move its content to its place once it is complete.

    The empty folder ``unpacked`` stays: it says that all was moved.
    """
    if not unpacked.exists():
        draft = unpacked.with_suffix(".unpacking")
        draft.mkdir()
        try:
            limit = int(source.unpacked * SLACK)
            unpack(archive, draft, inside=source.inside, most_bytes=limit)
            os.replace(draft, unpacked)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    if blocked := list(_blocked(unpacked, target)):
        raise InputError(
            f"{shown(blocked)} is there already, and {source.file} holds it too: move it away, "
            "then run the same command again"
        )
    target.mkdir(parents=True, exist_ok=True)
    for entry in unpacked.iterdir():
        _move(entry, target / entry.name)


def _blocked(source: Path, target: Path) -> Iterator[Path]:
    """Files that are in the way of a folder's content."""
    if not target.exists():
        return
    if not (source.is_dir() and target.is_dir()):
        yield target
        return
    for entry in source.iterdir():
        yield from _blocked(entry, target / entry.name)


def _move(source: Path, target: Path) -> None:
    """Move a file or folder. The target may hold a part of the folder after a stop."""
    if not target.exists():
        os.replace(source, target)
        return
    for entry in source.iterdir():
        _move(entry, target / entry.name)
    source.rmdir()


def _failure(
    preset: Preset, file: str, faults: list[tuple[Source, SourceError]], root: Path
) -> InputError:
    check = f"`debias data check {root} as={preset.name}` says whether it is right"
    apart = [one for one in preset.sources if not _is_automatic(one)]
    others = [one for one in apart if one.kind != "made" and one.file in ("", file)]
    elsewhere = f"; other sources: {', '.join(map(address, others))}" if others else ""
    if all(isinstance(fault, UnreachableError) for _, fault in faults):
        return OfflineError(
            f"no network ({faults[0][1]}): put {_absent(preset, root)} into {root}, and run the "
            f"same command again{elsewhere}; {check}"
        )
    reasons = "; ".join(f"{address(source)}: {fault}" for source, fault in faults)
    return InputError(
        f"no source gives {file} ({reasons}): try again later, or put {file} into {root} and run "
        f"the same command again{elsewhere}; {check}"
    )


def _absent(preset: Preset, root: Path) -> str:
    """The files that are not there yet, with the addresses of one file, or one address of each."""
    receipt = read_receipt(root, preset.name)
    absent = {
        file: [address(source) for source in sources]
        for file, sources in automatic(preset).items()
        if not (_is_there(receipt, sources[0], root) or (root / file).is_file())
    }
    most = 1 if len(absent) > 1 else None
    return shown([f"{file} from {' or '.join(at[:most])}" for file, at in absent.items()], 5)
