"""``debias data diagnose``: a table that trains where cues agree, and tests where they conflict."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor

from debias import components, shipped_configs
from debias import config as configs
from debias.data.checks import units_in_several
from debias.data.diagonal import UNUSED, Diagonal, diagonal_splits
from debias.data.examples import SPLITS, Examples
from debias.errors import InputError, check_at_least, near, shown
from debias.files import write_atomically
from debias.merging import (
    Settings,
    laid_over,
    plain_layer,
    read_overrides,
    read_yaml,
    split_overrides,
)
from debias.presets import is_preset
from debias.signatures import option_types
from debias.types import Attribute

TABLES = (".csv", ".csv.gz", ".parquet")
EXAMPLE = "debias data diagnose faces.csv cues=[gender,race] values=2 out=cues.csv"
#: Options of data sets about the labels, which the cues replace.
NAMES = ("target_names", "bias_names", "aligned")


class DiagnosisOptions(NamedTuple):
    """Options of ``debias data diagnose``.

    Attributes:
        cues: at least two columns. The first one becomes the target.
        values: number of values of each cue: the most frequent ones, in the order of the data set.
        each: test images of each conflict; by default the number of the rarest one.
        val: share of the agreeing images that validation has.
        seed: another seed draws other images.
        out: the table that is written. A config of the same name ending in ``.yaml`` reads it.
    """

    cues: Sequence[str]
    out: str
    values: int = 2
    each: int | None = None
    val: float = 0.1
    seed: int = 0


def run(source: str, overrides: list[str]) -> None:
    """Write the table and the config of a diagnostic set, and print the sizes of its splits.

    Args:
        source: a table of images, a data set known by name, or a config.
        overrides: :class:`DiagnosisOptions`, and ``data.KEY=VALUE`` of the data set.

    Raises:
        ValueError: the source, a cue or an option has a mistake, the images are not files, or
            ``out`` would replace a file that this command did not write.
    """
    own, others = split_overrides(overrides, DiagnosisOptions._fields)
    options = _options(read_overrides(own))
    given = read_overrides([text.removeprefix("data.") for text in others])
    section, facts = _section(source, options, given)
    examples: Examples = components.construct("data", section, facts)
    config = Path(options.out).with_suffix(".yaml")
    _check_out(options.out, config, [source, str(examples.source)])
    _check_examples(examples)
    values, cues = _cues(examples, options)
    agreeing = [_cell(cues, [label] * len(cues)) for label in range(options.values)]
    found = diagonal_splits(
        values,
        examples.images,
        labels=options.values,
        titles=agreeing,
        val=options.val,
        each=options.each,
        seed=options.seed,
    )
    write_atomically(Path(options.out), _table(examples, found.split, values, cues))
    write_atomically(config, OmegaConf.to_yaml(_config(examples, options.out, cues)))
    lines = [f"agreeing: {shown(agreeing)}", *_lines(found, cues), *_units(examples, found.split)]
    print("\n".join([*lines, f"debias train {config} trains on {options.out}"]))


def _options(given: Settings) -> DiagnosisOptions:
    cues, out = given.get("cues"), given.get("out")
    if not isinstance(cues, list) or len(cues) < 2 or not isinstance(out, str):
        raise InputError(f"`debias data diagnose` needs at least two cues and a table: {EXAMPLE}")
    for name in ("values", "each", "seed"):
        if not isinstance(given.get(name, 1), int):
            raise InputError(f"{name} must be an integer; got {name}={given[name]}")
    if not isinstance(given.get("val", 0.1), float):
        raise InputError(f"val must be a share such as 0.1; got val={given['val']}")
    options = DiagnosisOptions(**{**given, "cues": list(map(str, cues))})
    check_at_least(2, {"values": options.values})
    if len(set(options.cues)) < len(options.cues) or {"path", "split"} & set(options.cues):
        raise InputError(
            "cues must be different columns, and none may be called path or split, which the new "
            f"table has itself; got cues=[{', '.join(options.cues)}]"
        )
    return options


def _check_out(out: str, config: Path, sources: Sequence[str]) -> None:
    """Refuse a name that no table can have, and one that would replace a file of the user."""
    if not out.endswith(".csv"):
        raise InputError(f"out must be a name that ends in .csv; got out={out}")
    files = [Path(out), config]
    read = {Path(source).resolve() for source in sources}
    if found := [file for file in files if file.resolve() in read]:
        raise InputError(f"out={out} would replace {found[0]}, which is read: give another name")
    found = [file for file in files if file.exists()]
    if found and not _reads(config, Path(out)):
        raise InputError(
            f"{found[0]} exists, and this command did not write it: give another out, or remove it"
        )


def _reads(config: Path, table: Path) -> bool:
    """Whether a config of this name reads the table, as those of this command do."""
    data = plain_layer(read_yaml(config)).get("data") if config.is_file() else None
    return isinstance(data, dict) and data.get("file") == str(table.resolve())


def _check_examples(examples: Examples) -> None:
    if examples.held is not None:
        raise InputError(f"{examples.source} holds no image files, which a table needs: {EXAMPLE}")
    if examples.noise is not None:
        raise InputError(
            "data.label_noise and data.image_noise would get into the test: leave them out, and "
            "give them to `debias train`"
        )


def _section(source: str, options: DiagnosisOptions, given: Settings) -> tuple[Settings, Settings]:
    """The section ``data`` whose target and bias are the cues, and a config's ``cache_dir``."""
    base: Settings
    facts: Settings = {}
    if source.endswith(TABLES):
        base = {"name": "table", "file": source, "shares": [1.0, 0.0, 0.0]}
    elif is_preset(source) and source not in shipped_configs.names():
        base = {"name": source}
    else:
        config = configs.load(source, [])
        base, facts = config.data, {"cache_dir": config.cache_dir}
    make = components.find("data", base["name"])
    known = components.options(make)
    target = next((key for key in ("target", "targets") if key in known), None)
    if target is None or "list" not in option_types(make).get("bias", ""):
        raise InputError(
            f"{base['name']} has no columns to choose as cues: list its images in a table, as in "
            f"{EXAMPLE}"
        )
    plain = {key: None for key in NAMES if key in known}
    first = options.cues[0] if target == "target" else [options.cues[0]]  # CelebA has targets
    cues: Settings = {target: first, "bias": list(options.cues[1:])}
    if unknown := [key for key in given if key not in known]:
        raise InputError(
            f"unknown option {unknown[0]!r}; {near(unknown[0], [*options._fields, *known])}"
        )
    return dict(laid_over(base, plain | given | cues)), facts


def _cues(examples: Examples, options: DiagnosisOptions) -> tuple[Tensor, list[Attribute]]:
    """``(N, K)`` values of the cues, -1 for a value that is not used; and the cues."""
    groups = examples.groups
    biases = groups.attributes or (Attribute("", groups.bias_names),)
    every = torch.cat([examples.target[:, None], groups.decode(examples.bias)], dim=1)
    named = zip(options.cues, [Attribute("", groups.target_names), *biases], strict=True)
    found = [
        _most_frequent(column, cue._replace(name=name), options.values)
        for column, (name, cue) in zip(every.T, named, strict=True)
    ]
    return torch.stack([column for column, _ in found], dim=1), [cue for _, cue in found]


def _most_frequent(values: Tensor, cue: Attribute, count: int) -> tuple[Tensor, Attribute]:
    """The values of a cue numbered from 0, -1 for rarer ones; and the cue with these values."""
    sizes = torch.bincount(values[values >= 0], minlength=len(cue.values))
    if (found := int((sizes > 0).sum())) < count:
        raise InputError(
            f"cue {cue.name} has {found} values, and values={count}: set a lower number, or make "
            f"more values by data.values or data.bins"
        )
    chosen = sizes.argsort(descending=True, stable=True)[:count].sort().values
    numbers = torch.full((len(cue.values) + 1,), -1)  # the last one is for -1
    numbers[chosen] = torch.arange(count)
    names = tuple(cue.values[value] for value in chosen.tolist())
    return numbers[values], cue._replace(values=names)


def _table(examples: Examples, split: Tensor, values: Tensor, cues: Sequence[Attribute]) -> str:
    # values are numbers, because a name such as "3" would be read as the number 3
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "split", *(cue.name for cue in cues)])
    numbers, splits = values.tolist(), split.tolist()
    for row in (split != UNUSED).nonzero().flatten().tolist():
        writer.writerow([examples.images[row], SPLITS[splits[row]], *numbers[row]])
    return text.getvalue()


def _config(examples: Examples, out: str, cues: Sequence[Attribute]) -> dict[str, Any]:
    """A config that trains on the table. Validation has no conflict, so the average selects."""
    target, *others = cues
    pairs = [[label, label] for label in range(len(target.values))]
    data: Settings = {
        "name": "table",
        "file": str(Path(out).resolve()),
        "root": str(examples.root.resolve()),
        "target": target.name,
        "bias": [cue.name for cue in others],
        "target_names": list(target.values),
        "bias_names": {cue.name: list(cue.values) for cue in others},
        "aligned": {cue.name: pairs for cue in others},
    }
    reading = {"max_pixels": examples.max_pixels, "follow_links": examples.follow_links}
    data |= {key: value for key, value in reading.items() if value != getattr(Examples, key)}
    return {"data": data, "select": "average", "measures": "quick,preference"}


def _lines(found: Diagonal, cues: Sequence[Attribute]) -> list[str]:
    classes = f"{len(cues[0].values)} classes"
    of = (classes, classes, f"{found.cells} conflicts")
    lines = [
        f"{split}: {int((found.split == number).sum()):,} images, equally many of {of[number]}"
        for number, split in enumerate(SPLITS)
    ]
    if found.absent:
        named = [_cell(cues, cell) for cell in found.absent]
        lines.append(
            f"{len(named)} conflicts have fewer than {found.each} images and are left out: "
            f"{shown(named)}"
        )
    return lines


def _cell(cues: Sequence[Attribute], values: Sequence[int]) -> str:
    """One value of each cue, by its name."""
    return " & ".join(cue.values[value] for cue, value in zip(cues, values, strict=True))


def _units(examples: Examples, split: Tensor) -> list[str]:
    """A line if images of one value of ``data.split_by`` are in several splits."""
    several = units_in_several(examples.units, split)[0]
    text = f"{len(several)} values of data.split_by are in several splits: {shown(several)}"
    return [text] if several else []
