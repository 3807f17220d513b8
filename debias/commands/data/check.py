"""``debias data check``: compare a data set with its published facts, and look at its files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from debias import components, shipped_configs
from debias import config as configs
from debias.commands.keys import check_data_keys
from debias.data.checks import units_in_several
from debias.data.examples import Examples
from debias.data.inspection.counts import Compared, compare_counts
from debias.data.inspection.files import COPIES, HEADERS, copies, shapes, superfluous, unreadable
from debias.data.inspection.row_digest import row_digest
from debias.data.listing import missing_files
from debias.downloads.digests import has_digest
from debias.downloads.receipt import received_data
from debias.errors import InputError, shown
from debias.merging import Settings, read_overrides, taken
from debias.presets import MARKS, Preset, is_preset, preset
from debias.reports.tables import text_table

COLUMNS = ("split", "group", "mark", "found", "published", "difference")
#: Longest table. Of a longer one, only the rows that differ are printed.
MOST_ROWS = 60
#: Options of data sets that change no row.
NEUTRAL = ("root", "annotations", "masks", "fills", "max_pixels", "follow_links")


class Finding(NamedTuple):
    """One line about a data set, and whether it contradicts what is published or needed."""

    text: str
    wrong: bool = False


def run(source: str, overrides: list[str]) -> int:
    """Print the numbers of a data set beside the published ones, then what is odd in its files.

    Args:
        source: a config, or the folder of a data set.
        overrides: ``as=NAME`` for a folder: which preset it is; ``deep=true``: decode every image
            and look for copies among any number of images; keys of the config such as
            ``data.root``.

    Returns:
        0, or 1 if something differs from what is published, or if files are missing or unreadable.

    Raises:
        ValueError: no such config or preset, or the data set cannot be read.
    """
    deep, overrides = taken(overrides, "deep", "false")
    if deep not in ("true", "false"):
        raise InputError(f"deep must be true or false; got deep={deep}")
    section, facts = _section(source, overrides)
    described = preset(section["name"]) if is_preset(section["name"]) else None
    examples: Examples = components.construct("data", section, facts)
    print(f"{examples.source}: {len(examples)} images")
    findings = [
        *_published(examples, described, section),
        *_units(examples),
        *(_publisher(described, section) if described is not None else ()),
        *_files(examples, deep == "true"),
    ]
    wrong = [one for one in findings if one.wrong]
    for one in findings:
        print(f"{'WRONG' if one.wrong else 'note'}: {one.text}")
    if wrong and described is not None:
        print("\n".join(f"note of {described.name}: {note}" for note in described.notes))
    count = f"{len(wrong)} {'thing is' if len(wrong) == 1 else 'things are'} wrong"
    print(f"{section['name']}: {count if wrong else 'nothing is wrong'}")
    return 1 if wrong else 0


def _section(source: str, overrides: list[str]) -> tuple[Settings, Settings]:
    """The section ``data`` of a config with its ``cache_dir``, or one that reads a folder as a
    preset.
    """
    name, overrides = taken(overrides, "as", "")
    if not source:
        raise InputError("`debias data check` needs a config, or a folder with as=NAME")
    if not name and (source in shipped_configs.names() or not Path(source).is_dir()):
        if is_preset(source) and source not in shipped_configs.names():
            raise InputError(
                f"{source} is a data set, and no config: name its folder, as in `debias data check "
                f"PATH as={source}`"
            )
        config = configs.load(source, overrides)
        check_data_keys(overrides)
        return config.data, {"cache_dir": config.cache_dir}
    receipts = received_data(Path(source))
    if not name and len(receipts) != 1:
        raise InputError(
            f"{source} is a folder with {len(receipts)} receipts of `debias data get`, not one: "
            "add as=NAME (`debias data list` lists the names), or name a config instead"
        )
    name = name or receipts[0]
    given = read_overrides(overrides)
    if others := sorted(given.keys() - {"data"}):
        raise InputError(f"{others[0]} does not belong to a data set: leave it out")
    preset(name)  # the error of an unknown name lists the data sets
    return {"name": name, "root": source, **given.get("data", {})}, {}


def _published(
    examples: Examples, described: Preset | None, section: Settings
) -> Iterator[Finding]:
    """Print the table of counts; yield the differences of counts and rows."""
    changed = _changed(section) if described is not None else []
    compare = described is not None and not changed
    counts = compare_counts(examples, described.published if compare and described else ())
    print("\n".join(_table(counts)))
    if changed:
        yield Finding(f"not compared with published numbers, because of data.{shown(changed)}")
    for one in counts:
        if one.difference:
            text = f"{one.split} {one.name}: {one.found} images, published {one.expected}"
            yield Finding(f"{text} ({MARKS[one.mark]})", one.wrong)
    digest = row_digest(examples)
    if not (compare and described and described.rows):
        yield Finding(f"digest of the rows: {digest}")
    elif digest == described.rows:
        yield Finding(f"paths, classes, bias values and splits are as described ({digest})")
    elif row_digest(examples, bias=False) == described.rows_without_bias:
        text = "paths, classes and splits are as described, but bias values are not: another draw"
        yield Finding(text, wrong=True)
    else:
        text = f"the digest of the rows is {digest}, described is {described.rows}"
        yield Finding(text, wrong=True)


def _changed(section: Settings) -> list[str]:
    """Options of a preset that differ from its own, and may change its rows."""
    name = section["name"]
    own = components.options(components.find("data", name)) | preset(name).options
    given = {key: value for key, value in section.items() if key not in ("name", *NEUTRAL)}
    return [key for key, value in given.items() if value != own.get(key)]


def _table(counts: Sequence[Compared]) -> list[str]:
    rows = counts
    if len(counts) > MOST_ROWS:
        rows = [one for one in counts if one.difference or one.name == "all"]
    cells = [
        (
            *(one.split, one.name, one.mark, str(one.found)),
            *(("-", "-") if one.expected is None else (str(one.expected), f"{one.difference:+d}")),
        )
        for one in rows
    ]
    left_out = len(counts) - len(rows)
    more = [f"{left_out} more groups have no difference"] if left_out else []
    return [*text_table(COLUMNS, cells), *more]


def _units(examples: Examples) -> Iterator[Finding]:
    """What ``data.split_by`` names, such as a patient, and lies in several splits."""
    several, count = units_in_several(examples.units, examples.split)
    if count:
        text = f"{len(several)} of {count} values of data.split_by are in several splits"
        yield Finding(f"{text}{': ' if several else ''}{shown(several)}")


def _publisher(described: Preset, section: Settings) -> Iterator[Finding]:
    """Files whose digest is not that of the publisher. A repacked file may still be right."""
    root = Path(str(section.get("root", "")))
    wanted: dict[str, list[str]] = {}
    for source in described.sources:
        if source.digest and (root / source.file).is_file():
            wanted.setdefault(source.file, []).append(source.digest)
    for file, digests in wanted.items():
        if not any(has_digest(root / file, digest) for digest in digests):
            yield Finding(f"{file} is not the publisher's file: its digest is not {digests[0]}")


def _files(examples: Examples, deep: bool) -> Iterator[Finding]:
    """What is odd in the files of a data set."""
    missing: list[int] = []
    if examples.held is None:
        missing = missing_files(examples.root, examples.images)
        yield from _listed("images are missing", [examples.images[row] for row in missing], True)
        yield from _listed("image files belong to no row", superfluous(examples))
    if missing:
        yield Finding("images are not opened, because some are missing")
    else:
        if examples.held is None:
            yield from _contents(examples, deep)
        if deep:
            yield from _listed("images cannot be decoded", unreadable(examples), True)


def _contents(examples: Examples, deep: bool) -> Iterator[Finding]:
    """Sizes and modes, and copies."""
    step = 1 if deep else max(1, len(examples) // HEADERS)
    found = shapes(examples, range(0, len(examples), step))
    sizes = [f"{count} of {shape}" for shape, count in found.most_common()]
    broken = "unreadable" in found
    hint = "; deep=true names the unreadable ones" if broken and not deep else ""
    yield Finding(f"sizes of {sum(found.values())} images: {shown(sizes, 5)}{hint}", broken)
    if not deep and len(examples) > COPIES:
        yield Finding(f"copies are not looked for among more than {COPIES} images: deep=true does")
        return
    same = copies(examples)
    across = [one for one in same if len(one.splits) > 1]
    for text, some in (
        ("images have copies within a split", [one for one in same if one not in across]),
        ("images have copies in another split", across),
    ):
        yield from _listed(text, [" = ".join(one.images[:2]) for one in some])


def _listed(text: str, items: Sequence[str], wrong: bool = False) -> Iterator[Finding]:
    if items:
        yield Finding(f"{len(items)} {text}: {shown(items)}", wrong)
