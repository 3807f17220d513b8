"""The receipt beside a data set: which file came from where, when, and with which digest."""

from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from debias import __version__
from debias.downloads.digests import file_digest
from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import MisfitError, json_text, read_json, typed

_SUFFIX = ".receipt.json"


@dataclass(frozen=True)
class Received:
    """One file of a data set.

    Attributes:
        file: its name; an archive is removed once it is unpacked.
        source: the address it came from; "by hand" if the user put it there.
        digest: its SHA-256, as "sha256:...".
        bytes: its size.
        date: the day, as in 2026-04-30.
    """

    file: str
    source: str
    digest: str
    bytes: int
    date: str


@dataclass(frozen=True)
class Receipt:
    """What `debias data get` did so far.

    Attributes:
        data: name of the data set.
        terms: whether the user accepted its terms.
        files: what is there.
        debias: version of debias.
    """

    data: str
    terms: bool = False
    files: tuple[Received, ...] = ()
    debias: str = field(default=__version__)

    def has(self, file: str) -> bool:
        """Whether a file was received."""
        return any(one.file == file for one in self.files)


def received(path: Path, name: str, source: str) -> Received:
    """Describe a file that is complete now."""
    digest, size = file_digest(path, "sha256"), path.stat().st_size
    return Received(name, source, digest, size, date.today().isoformat())


def receipt_path(root: Path, data: str) -> Path:
    """The file of the receipt of a data set."""
    return root / f"{data}{_SUFFIX}"


def read_receipt(root: Path, data: str) -> Receipt:
    """The receipt of a data set in a folder; an empty one if there is none.

    Raises:
        InputError: the receipt is damaged.
    """
    path = receipt_path(root, data)
    if not path.exists():
        return Receipt(data)
    remedy = "remove it to get the data set again"
    try:
        return typed(Receipt, read_json(path, dict, entries={"data": str}, remedy=remedy))
    except MisfitError as error:
        raise InputError(f"{path} has a wrong entry {error}: {remedy}") from None


def received_data(root: Path) -> list[str]:
    """Names of the data sets in a folder, by their receipts."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in root.glob(f"*{_SUFFIX}"))


def write_receipt(root: Path, receipt: Receipt) -> None:
    """Write the receipt of a folder."""
    write_atomically(receipt_path(root, receipt.data), json_text(asdict(receipt)))
