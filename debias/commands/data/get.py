"""``debias data get``: download a data set, or say what only the user can do."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from debias.downloads.getting import by_hand, get
from debias.downloads.hosts import address
from debias.downloads.receipt import read_receipt, receipt_path, write_receipt
from debias.errors import InputError, shown
from debias.merging import taken
from debias.presets import Preset, is_preset, preset


def run(source: str, overrides: list[str]) -> int:
    """Get the files of a preset, then check them, or print what only the user can do.

    Args:
        source: name of the preset.
        overrides: ``root=PATH``, and ``terms=accepted`` once if the data set asks for that.

    Returns:
        0; 1 if the check finds a difference; 3 if the user must fetch files by hand.

    Raises:
        ValueError: no such preset or option, the terms are not accepted, or the files cannot be
            had.
    """
    root, overrides = taken(overrides, "root", "")
    terms, overrides = taken(overrides, "terms", "")
    if not source or not root or overrides:
        given = f"; got {overrides[0]}" if overrides else ""
        raise InputError(
            "`debias data get` needs a name and root=PATH, and knows terms=accepted besides"
            f"{given}. `debias data list` lists the names"
        )
    found = preset(source)
    _accept(found, Path(root), terms)
    get(found, Path(root))
    steps = list(_steps(found, root))
    if len(steps) > 1:
        print("\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1)))
        return 3
    receipt = receipt_path(Path(root), source).name
    origin = f"{receipt} there says where it comes from; remove it to get the files again"
    print(f"{source} is in {root}; {origin}", flush=True)
    # not with the other imports, because it loads torch
    from debias.commands.data import check as data_check

    return data_check.run(root, [f"as={source}"])


def _accept(found: Preset, root: Path, terms: str) -> None:
    """Print the terms, and refuse to go on until the user has accepted them once."""
    for title, text in (("licence", found.licence), ("terms", found.terms)):
        if text:
            print(f"{title} of {found.name}: {text}", flush=True)
    receipt = read_receipt(root, found.name)
    if not found.accept or receipt.terms:
        return
    if terms != "accepted":
        raise InputError(
            f"{found.name} is only for users who accept its terms: read them "
            f"(`debias data list {found.name}`), then add terms=accepted"
        )
    write_receipt(root, replace(receipt, terms=True))


def _steps(found: Preset, root: str) -> Iterator[str]:
    """What the user must still do. The last step checks the data set."""
    if found.made_from:
        for name in filter(is_preset, found.made_from.replace(",", " ").split()):
            yield f"debias data get {name} root={root}"
        yield f"debias data make {found.name} root={root}"
    hand = by_hand(found)
    for source in hand:
        file = source.file or "the files"
        note = f" ({source.note})" if source.note else ""
        yield f"get {file} from {address(source)}{note}"
    if hand:
        layout = [*(found.sample.images or _patterns(found)), *found.sample.tables]
        expected = f"; debias expects {shown(layout)} there" if layout else ""
        yield f"put the files into {root}, and unpack archives{expected}"
    elif not found.sources:
        yield f"no source is known: get it from its authors ({found.citation}) into {root}"
    yield f"debias data check {root} as={found.name}"


def _patterns(found: Preset) -> list[str]:
    pattern = found.options.get("pattern", [])
    return [pattern] if isinstance(pattern, str) else list(pattern)
