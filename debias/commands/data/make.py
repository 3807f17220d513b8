"""``debias data make``: write a generated data set, such as coloured MNIST from MNIST's files."""

from debias.components import construct
from debias.data.examples import SPLITS, Examples
from debias.errors import InputError, near
from debias.merging import read_overrides
from debias.presets import names, preset


def run(source: str, overrides: list[str]) -> None:
    """Make a data set, and print its folder and the counts of its splits.

    Training makes the same folder on first use. A folder that exists is not made again.

    Args:
        source: name of a preset that is generated.
        overrides: options of its reader, such as ``root=PATH`` and ``seed=1``.

    Raises:
        ValueError: there is no such preset, it is not generated, an option is not valid, or a file
            that it is made of is missing.
    """
    found = preset(source)
    if not found.made_from:
        generated = [name for name in names() if preset(name).made_from]
        raise InputError(
            f"{source} is not generated; {near(source, generated)}. `debias data get {source}` "
            "says where its files are"
        )
    options = read_overrides([text.removeprefix("data.") for text in overrides])
    examples: Examples = construct("data", {**options, "name": source}, {})
    print("\n".join([f"{source} is in {examples.root}", *map(_line, SPLITS, [examples] * 3)]))


def _line(split: str, examples: Examples) -> str:
    """Number of images of a split, and how many of them are bias-conflicting."""
    count = len(examples.rows(split))
    if not examples.groups.aligned:
        return f"{split}: {count:,} images"
    by_group = examples.frequencies(split).reshape(examples.groups.rows, -1)
    aligned = sum(int(by_group[pair]) for pair in examples.groups.aligned)
    return f"{split}: {count:,} images, {int(by_group.sum()) - aligned:,} bias-conflicting"
