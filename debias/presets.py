"""Presets: the data sets that debias knows by name, described in files of ``data/presets``.

A preset names a reader of :data:`debias.components.TABLES`, gives it options, and holds facts of
the data set. It is data, not code: CONTRIBUTING.md says how to add one. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from debias.errors import InputError, check_one_of, near
from debias.merging import MISSING, Section, Settings, laid_over, plain_layer, read_yaml, resolved

FOLDER = Path(__file__).parent / "data" / "presets"
KINDS = ("https", "hf", "drive", "zenodo", "kaggle", "manual", "made")
#: How a class is chosen from those of ImageNet: by the highest mean probability of its members, or
#: by the highest output of all, whose class may be none of the data set.
DECISIONS = ("mean", "top")
#: What a mark of a published number means: where the number was found.
MARKS = {
    "C": "code of the authors",
    "D": "documentation of the data set",
    "P": "paper",
    "R": "counted in the files themselves",
    "T": "a third party",
    "M": "from memory, so that a difference is only a note",
}


@dataclass
class Source:
    """One place from which one file of a data set can be had.

    Attributes:
        kind: one of ``KINDS``. A "manual" source is a page with instructions for a reader. "made"
            means that debias makes the files itself.
        at: the address, or the id at the host: repository, file or record. Of a "made" source, the
            data sets whose files it needs, or "nothing".
        file: name of the file below the root. Sources with the same file are mirrors, in the order
            in which they are tried. Empty for a source of the whole data set that only a user can
            fetch.
        digest: "sha256:..." or "md5:..." of the file; empty if none is published.
        size: bytes of the file; 0 if unknown.
        unpack: folder below the root that the archive is unpacked into, "." for the root itself;
            empty for a file that is used as it is.
        inside: folder in the archive whose content is unpacked; empty for the whole archive.
        unpacked: bytes of the unpacked files; 0 if unknown.
        seen: state of the source and the date of it, such as "works 2026-04" or "dead 2025-04".
        note: what a reader must know, such as the steps of a "manual" source.
    """

    kind: str = MISSING
    at: str = MISSING
    file: str = ""
    digest: str = ""
    size: int = 0
    unpack: str = ""
    inside: str = ""
    unpacked: int = 0
    seen: str = ""
    note: str = ""


@dataclass
class Sample:
    """How a tiny tree in the layout of a data set is made: pictures per combination of fields.

    Attributes:
        fields: the values of each field, such as ``{split: [train, val, test], target: [0, 1]}``.
        images: templates of the image paths, with the names of fields in braces; "*" becomes a
            number. By default they are the templates of the option ``pattern``.
        tables: tables by their path: the template of the cell of each column. ``{image}`` is the
            path of the picture and ``{number}`` its number.
        by: for annotations that are no tables, a function "module:name" that writes them. It gets
            the root and ``each``, and returns the paths of the pictures.
        each: pictures per combination, unless the user gives another number. It must be enough for
            training.
    """

    fields: dict[str, list[Any]] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    by: str = ""
    each: int = 3


class Count(NamedTuple):
    """A published number of images.

    Attributes:
        split: "train", "val" or "test"; empty for all splits.
        name: the group or class whose images are counted; empty for all.
        images: the number.
        mark: a key of ``MARKS``.
    """

    split: str
    name: str
    images: int
    mark: str


@dataclass
class Preset:
    """A data set that debias knows by name.

    Attributes:
        title: what the images show, in one line.
        target: the classes in words.
        bias: the bias attribute in words.
        citation: authors, title, venue and year.
        reader: a name of a loader in the table of components.
        options: options of the reader; the user's options are laid over them.
        licence: of the images; empty if unknown.
        terms: what the owner demands of users; empty if nothing is known.
        accept: whether `debias data get` asks the user to accept the terms.
        counts: published numbers at the default options, as ``{mark: {split: number}}`` or
            ``{mark: {split: {group or class: number}}}``. The split "all" means all splits.
        rows: SHA-256 of the sorted rows, if it could be computed from the real files.
            `debias data check` prints it.
        rows_without_bias: the same without bias values, which tells another draw of the bias from
            other images.
        sources: where the files are, see :class:`Source`.
        imagenet: how a classifier of ImageNet's thousand classes is read on this data set: a name
            of :func:`debias.data.class_maps.class_map`. Empty if it was not made for them.
        decision: one of ``DECISIONS``: what such a classifier decides on.
        measures: families that `debias evaluate MODEL data=NAME` measures on a set made for them.
        notes: known errors of the data, and how other code differs.
        sample: what `debias data sample` writes, see :class:`Sample`.
        name: name of the preset, which is that of its file.
    """

    title: str = MISSING
    target: str = MISSING
    bias: str = MISSING
    citation: str = MISSING
    reader: str = MISSING
    options: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    terms: str = ""
    accept: bool = False
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: str = ""
    rows_without_bias: str = ""
    sources: list[Source] = field(default_factory=list)
    imagenet: str = ""
    decision: str = "mean"
    measures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sample: Sample = field(default_factory=Sample)
    name: str = ""

    @property
    def made_from(self) -> str:
        """The data sets of whose files debias makes this one, or "nothing"; empty otherwise."""
        return next((source.at for source in self.sources if source.kind == "made"), "")

    @property
    def published(self) -> list[Count]:
        """The published numbers, one by one, in the order of the file."""
        return [
            Count("" if split == "all" else split, name, images, mark)
            for mark, splits in self.counts.items()
            for split, numbers in splits.items()
            for name, images in (numbers if isinstance(numbers, dict) else {"": numbers}).items()
        ]


@cache
def names() -> tuple[str, ...]:
    """Names of all presets, sorted. No file is read."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def is_preset(name: object) -> bool:
    """Whether a text is the name of a preset."""
    return isinstance(name, str) and name in names()


@cache
def preset(name: str) -> Preset:
    """Read a preset. All callers share the object, so do not change it.

    Raises:
        InputError: there is no such preset, or its file has an unknown key, lacks a key, or has a
            value that is not allowed.
    """
    if not is_preset(name):
        raise InputError(f"no data set {name!r}; {near(name, names(), 'debias data list')}")
    path = FOLDER / f"{name}.yaml"
    return read_preset(path)


def read_preset(path: Path) -> Preset:
    """Read the file of a preset; errors as those of :func:`preset`, and they name the file."""
    try:
        values = resolved(Preset, plain_layer(read_yaml(path)))
        sources = [Source(**source) for source in values.pop("sources")]
        own = {"sources": sources, "sample": Sample(**values.pop("sample")), "name": path.stem}
        found = Preset(**values | own)
        _check(found)
    except InputError as error:
        raise InputError(f"{path}: {error}".replace(f"{path}: {path}", str(path))) from error
    return found


def _check(found: Preset) -> None:
    check_one_of(DECISIONS, {"decision": found.decision})
    for mark, splits in found.counts.items():
        check_one_of(MARKS, {"a mark of counts": mark})
        for split in splits:
            check_one_of(("all", "train", "val", "test"), {"a split of counts": split})
    for source in found.sources:
        check_one_of(KINDS, {"kind of a source": source.kind})
    for text in _digests(found):
        kind, _, digits = text.partition(":")
        check_one_of(("sha256", "md5"), {"kind of a digest": kind})
        if len(digits) != {"sha256": 64, "md5": 32}[kind] or set(digits) - set("0123456789abcdef"):
            raise InputError(f"digest {text} must be {kind}: and its hexadecimal digits")


def _digests(found: Preset) -> Iterator[str]:
    yield from (source.digest for source in found.sources if source.digest)
    yield from (f"sha256:{rows}" for rows in (found.rows, found.rows_without_bias) if rows)


def check_fetched(name: str, root: object) -> None:
    """Refuse an absent or empty root of a preset whose files debias does not make itself.

    Raises:
        InputError: there is nothing in the root; the message says how to get the data set.
    """
    if preset(name).made_from or not isinstance(root, str):
        return
    if not Path(root).is_dir() or not any(Path(root).iterdir()):
        raise InputError(
            f"no data set {name} in data.root={root}: correct data.root, or get the files by "
            f"`debias data get {name} root={root}`"
        )


def options_of(name: str, given: Section) -> Settings:
    """Options of the reader of a preset: those of its file, with the user's laid over them."""
    return dict(laid_over(preset(name).options, given))
