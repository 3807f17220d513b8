"""Results of runs on object storage: a local copy of the small files that tables and pages read."""

import re
from pathlib import Path

from filelock import FileLock

from debias.errors import InputError
from debias.storage.copies import Copy
from debias.storage.urls import copies_folder, is_url, local_copy, opened, told_errors

#: Folder of these copies, beside those of data and runs.
READ = "read"
_NAMES = r"(config|last_stage)\.yaml|(report|progress|stage|plan|protocol)\.json|trials\.csv"
_SMALL = re.compile(
    rf"(.*/)?({_NAMES}|predictions/test\.csv)|(.*/)?(errors|pruned)/[^/]*\.txt"
    r"|(.*/)?leases/[^/]*/\d+\.json"
)


def results_folder(place: str) -> Path:
    """The folder of runs, of a sweep or of one run, for commands that only read results.

    Args:
        place: a folder, or the URL of one, whose small files are copied first.

    Raises:
        InputError: no cache folder is named, or the storage cannot be read.
    """
    if not is_url(place):
        return Path(place)
    copies = copies_folder("folder", place)
    folder = copies / READ / local_copy("folder", place).relative_to(copies)
    copy = Copy(opened("folder", place), folder, copies)
    copy.lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(copy.lock), told_errors("folder", place):
        if not Copy(copy.place, folder, copies).pull(is_small, live=True):
            raise InputError(f"{place} has no runs: check the bucket and the path")
    return folder


def is_small(name: str) -> bool:
    """Whether a file of a folder of runs is one that tables and pages read.

    Example:
        >>> is_small("run/report.json"), is_small("run/checkpoints/last.ckpt")
        (True, False)
    """
    return _SMALL.fullmatch(name) is not None
