"""``debias data list``: the data sets that debias knows by name, or every fact of one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from debias import shipped_configs
from debias.components import TABLES
from debias.errors import InputError, shortened
from debias.presets import MARKS, Count, Preset, is_preset, preset
from debias.presets import names as preset_names
from debias.reports.tables import text_table

#: Most characters of the target and of the bias in the table.
WIDTH = 48
COLUMNS = ("data set", "target", "bias", "images", "files")
LEGEND = """
images: number and mark of its origin; files: how you get them, and the state when last seen
debias data list NAME prints every fact of a data set, its options and its configs
Your own data: data.name=table, folder, pattern, arrays, shards or huggingface; see docs/data.md"""


def run(source: str, overrides: list[str]) -> None:
    """Print a table of all presets, or the facts of one.

    Args:
        source: name of a preset; empty for all.
        overrides: none are allowed.

    Raises:
        ValueError: there is no such preset, or an override is given.
    """
    if overrides:
        raise InputError(f"`debias data list` has no options; got {overrides[0]}. Leave it out")
    if source in TABLES["data"] and not is_preset(source):
        raise InputError(
            f"{source} reads data of your own: `debias list datasets {source}` lists its options"
        )
    if source:
        print("\n".join(_facts(preset(source))))
        return
    rows = [_row(preset(name)) for name in preset_names()]
    print("\n".join([*text_table(COLUMNS, rows, words=len(COLUMNS)), LEGEND]))


def _row(found: Preset) -> tuple[str, ...]:
    words = (shortened(text, WIDTH) for text in (found.target, found.bias))
    return found.name, *words, _images(found), _files(found)


def _images(found: Preset) -> str:
    """The number of images with its mark; "-" if it was not published."""
    totals: dict[str, Count] = {}
    for count in found.published:
        known = totals.get(count.split)
        if known is None or not count.name:
            totals[count.split] = count
        elif known.name and known.mark == count.mark:  # the sum of groups or classes so far
            totals[count.split] = known._replace(images=known.images + count.images)
    if "" not in totals and not totals.keys() >= {"train", "val", "test"}:
        return "-"
    chosen = [totals[""]] if "" in totals else list(totals.values())
    return f"{sum(count.images for count in chosen):,} [{chosen[0].mark}]"


def _files(found: Preset) -> str:
    if found.made_from:
        return f"made from {found.made_from}"
    if not found.sources:
        return "by hand"
    first = found.sources[0]
    return f"{first.kind}, {first.seen}" if first.seen else first.kind


def _facts(found: Preset) -> Iterator[str]:
    yield f"{found.name}: {found.title}"
    for title, text in (
        ("target", found.target),
        ("bias", found.bias),
        ("source", found.citation),
        ("licence", found.licence),
        ("terms", found.terms + " (`debias data get` asks you to accept them)" * found.accept),
    ):
        if text.strip():
            yield f"  {title}: {text}"
    yield f"  reader: {found.reader} (`debias list datasets {found.reader}` lists its options)"
    for key, value in found.options.items():
        yield f"    data.{key}={value if isinstance(value, str) else json.dumps(value)}"
    if found.made_from:
        yield f"  made from: {found.made_from} (`debias data make {found.name} root=PATH`)"
    yield from _counts(found)
    for one in (source for source in found.sources if source.kind != "made"):
        details = ", ".join(text for text in (one.seen, one.note) if text)
        yield f"  {one.file or 'files'}: {one.kind} {one.at}{f' ({details})' if details else ''}"
    for note in found.notes:
        yield f"  note: {note}"
    if found.imagenet:
        yield f"  `debias evaluate timm:NETWORK data={found.name} root=PATH` evaluates on it"
    if shipped := [name for name in shipped_configs.names() if name.split("/")[0] == found.name]:
        yield f"  configs (`debias list configs '{found.name}*'`): {', '.join(shipped)}"
    elif found.options.get("split") != "test":
        yield f"  no shipped config; set data.name={found.name} in yours"


def _counts(found: Preset) -> Iterator[str]:
    for split, name, images, mark in found.published:
        where = " ".join(text for text in (split or "all splits", name) if text)
        yield f"  {where}: {images:,} images [{mark}]"
    for mark in dict.fromkeys(count.mark for count in found.published):
        yield f"  [{mark}]: {MARKS[mark]}"
