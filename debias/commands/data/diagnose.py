"""``debias data diagnose``: a table that trains where cues agree, and tests where they conflict."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor

from debias import components
from debias import config as configs
from debias.data.diagonal import UNUSED, Diagonal, diagonal_splits
from debias.data.examples import SPLITS, Examples
from debias.errors import InputError, near, shown
from debias.files import write_atomically
from debias.merging import Settings, laid_over, read_overrides, split_overrides
from debias.presets import is_preset
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
        ValueError: the source, a cue or an option has a mistake, or the images are not files.
    """
    own, others = split_overrides(overrides, DiagnosisOptions._fields)
    options = _options(read_overrides(own))
    given = read_overrides([text.removeprefix("data.") for text in others])
    section = _section(source, options, given)
    examples: Examples = components.construct("data", section, {})
    if examples.held is not None:
        raise InputError(f"{examples.source} holds no image files, which a table needs: {EXAMPLE}")
    values, cues = _cues(examples, options)
    found = diagonal_splits(
        values,
        examples.images,
        labels=options.values,
        val=options.val,
        each=options.each,
        seed=options.seed,
    )
    write_atomically(Path(options.out), _table(examples, found.split, values, cues))
    config = Path(options.out).with_suffix(".yaml")
    write_atomically(config, OmegaConf.to_yaml(_config(examples, options.out, cues)))
    print("\n".join([*_lines(found, cues), f"debias train {config} trains on {options.out}"]))


def _options(given: Settings) -> DiagnosisOptions:
    cues, out = given.get("cues"), given.get("out")
    if not isinstance(cues, list) or len(cues) < 2 or not isinstance(out, str):
        raise InputError(f"`debias data diagnose` needs at least two cues and a table: {EXAMPLE}")
    for name, kind in (("values", int), ("each", int), ("seed", int), ("val", (int, float))):
        if name in given and not isinstance(given[name], kind):
            raise InputError(f"{name} must be a number; got {name}={given[name]}")
    return DiagnosisOptions(**{**given, "cues": list(map(str, cues))})


def _section(source: str, options: DiagnosisOptions, given: Settings) -> Settings:
    """The section ``data`` whose target and bias are the cues."""
    base: Settings
    if source.endswith(TABLES):
        base = {"name": "table", "file": source, "shares": [1.0, 0.0, 0.0]}
    elif is_preset(source) and source not in configs.shipped():
        base = {"name": source}
    else:
        base = configs.load(source, []).data
    make = components.find("data", base["name"])
    known = components.options(make)
    if "target" not in known or "bias" not in known:
        raise InputError(
            f"{base['name']} has no columns to choose as cues: list its images in a table, as in "
            f"{EXAMPLE}"
        )
    plain = {key: None for key in NAMES if key in known}
    cues: Settings = {"target": options.cues[0], "bias": list(options.cues[1:])}
    if unknown := [key for key in given if key not in known]:
        raise InputError(
            f"unknown option {unknown[0]!r}; {near(unknown[0], [*options._fields, *known])}"
        )
    return dict(laid_over(base, plain | given | cues))


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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "split", *(cue.name for cue in cues)])
    numbers, splits = values.tolist(), split.tolist()
    for row in (split != UNUSED).nonzero().flatten().tolist():
        names = [cue.values[value] for cue, value in zip(cues, numbers[row], strict=True)]
        writer.writerow([examples.images[row], SPLITS[splits[row]], *names])
    return text.getvalue()


def _config(examples: Examples, out: str, cues: Sequence[Attribute]) -> dict[str, Any]:
    """A config that trains on the table. Validation has no conflict, so the average selects."""
    target, *others = cues
    pairs = [[label, label] for label in range(len(target.values))]
    data = {
        "name": "table",
        "file": str(Path(out).resolve()),
        "root": str(examples.root.resolve()),
        "target": target.name,
        "bias": [cue.name for cue in others],
        "target_names": list(target.values),
        "bias_names": {cue.name: list(cue.values) for cue in others},
        "aligned": {cue.name: pairs for cue in others},
    }
    return {"data": data, "select": "average", "measures": "quick,preference"}


def _lines(found: Diagonal, cues: Sequence[Attribute]) -> list[str]:
    classes = f"{len(cues[0].values)} classes"
    of = (classes, classes, f"{found.cells} conflicts")
    lines = [
        f"{split}: {int((found.split == number).sum()):,} images, equally many of {of[number]}"
        for number, split in enumerate(SPLITS)
    ]
    if found.absent:
        named = [
            " & ".join(cue.values[value] for cue, value in zip(cues, cell, strict=True))
            for cell in found.absent
        ]
        lines.append(
            f"{len(named)} conflicts have fewer than {found.each} images and are left out: "
            f"{shown(named)}"
        )
    return lines
