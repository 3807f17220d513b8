"""The number of images per split and group, beside the published numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from debias.data.examples import SPLITS, Examples
from debias.presets import Count
from debias.types import Groups

#: Mark of numbers that may be wrong: a difference to one is only a note.
FROM_MEMORY = "M"


class Compared(NamedTuple):
    """A number of images, and the published one.

    Attributes:
        split: name of the split; "all" for all splits.
        name: name of the group or class; "all" for all.
        found: the number of images.
        expected: the published number, or ``None``.
        mark: where it was published, a key of ``debias.presets.MARKS``; empty without one.
    """

    split: str
    name: str
    found: int
    expected: int | None = None
    mark: str = ""

    @property
    def difference(self) -> int:
        """Found minus expected; 0 if nothing was published."""
        return 0 if self.expected is None else self.found - self.expected

    @property
    def wrong(self) -> bool:
        """Whether the number differs from one that is certain."""
        return self.difference != 0 and self.mark != FROM_MEMORY


def compare_counts(examples: Examples, published: Sequence[Count]) -> list[Compared]:
    """Compare the numbers of images with the published ones.

    Args:
        examples: the data set.
        published: the published numbers; empty compares nothing.

    Returns:
        Every published number, and every group that has images and no published number.
    """
    found = _found(examples)
    compared = [
        Compared(
            count.split or "all",
            count.name or "all",
            found[count.split or "all"].get(count.name or "all", 0),
            count.images,
            count.mark,
        )
        for count in published
    ]
    known = {(one.split, one.name) for one in compared}
    others = [one for one in _groups(examples, found) if one[:2] not in known]
    order = ("all", *SPLITS)
    return sorted([*compared, *others], key=lambda one: order.index(one.split))


def _found(examples: Examples) -> dict[str, dict[str, int]]:
    """The number of images by split, and by the name of a group or class."""
    found: dict[str, dict[str, int]] = {"all": {}}
    for split in SPLITS:
        found[split] = dict(_numbers(examples, split))
        for name, number in found[split].items():
            found["all"][name] = found["all"].get(name, 0) + number
    return found


def _numbers(examples: Examples, split: str) -> Iterator[tuple[str, int]]:
    """The number of images of each class, each group, and each group of one attribute alone."""
    groups, rows = examples.groups, examples.rows(split)
    target, values = examples.target[rows], groups.decode(examples.bias[rows])
    yield "all", len(rows)
    for position, attribute in enumerate(groups.attributes):
        alone = Groups(groups.target_names, attribute.values, (), groups.multi_label)
        yield from _named(alone.names, alone.frequencies(target, values[:, position]))
    yield from _named(groups.target_names, examples.class_counts(split))
    yield from _named(groups.names, examples.frequencies(split))


def _named(names: Sequence[str], numbers: Tensor) -> Iterator[tuple[str, int]]:
    yield from zip(names, numbers.tolist(), strict=True)


def _groups(examples: Examples, found: Mapping[str, Mapping[str, int]]) -> Iterator[Compared]:
    """The groups that have images; the classes in a split where no bias is known."""
    for split in SPLITS:
        labelled = bool((examples.bias[examples.rows(split)] >= 0).any())
        names = examples.groups.names if labelled else examples.groups.target_names
        for name in names:
            if number := found[split][name]:
                yield Compared(split, name, number)
