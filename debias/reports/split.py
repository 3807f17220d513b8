"""The metrics of one split in a report: accuracies of groups or classes, and scalar metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

#: The main metrics of a split, with accuracies by group or by class. The first one ranks methods.
SCALARS: Mapping[str, tuple[str, ...]] = {
    "group": ("worst_group", "adjusted_average", "average", "worst_class"),
    "class": ("worst_class", "class_balanced", "average"),
}
#: Prefix of the keys of group and class accuracies.
PREFIXES: Mapping[str, str] = {"group": "accuracy/", "class": "class_accuracy/"}
#: Plurals of the two words, for pages and messages.
PLURALS: Mapping[str, str] = {"group": "groups", "class": "classes"}
#: Largest number of groups in a chart or a gallery; more cannot be distinguished.
MOST_SHOWN = 8

#: Numbers by key. ``None`` means that the number is undefined on these images.
Scalars = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The accuracy of a group or class.

    Attributes:
        name: name of the group or class.
        accuracy: its accuracy; ``None`` without images.
        count: its number of images.
        low: lower end of the 95 % Wilson interval of the accuracy.
        high: upper end of this interval.
    """

    name: str
    accuracy: float | None
    count: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Split:
    """The metrics of one split.

    Attributes:
        scalars: all metrics by key.
        groups: accuracies of the groups, which contain only images of known bias.
        intervals: lower and upper end of the intervals of the worst group and the worst class.
        classes: accuracies of the classes; empty in reports of earlier versions.
        unknown: number of images of unknown bias.
        attributes: the same metrics for each of several bias attributes alone.
    """

    scalars: Scalars
    groups: tuple[GroupScore, ...]
    intervals: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    classes: tuple[GroupScore, ...] = ()
    unknown: int = 0
    attributes: tuple[AttributeSplit, ...] = ()

    @cached_property
    def kind(self) -> str:
        """Whether accuracies are by "group", or by "class" because no image has a known bias."""
        labelled = any(group.count for group in self.groups)
        return "group" if labelled or not self.classes else "class"

    @cached_property
    def cells(self) -> tuple[GroupScore, ...]:
        """The accuracies of the groups, or of the classes, depending on ``kind``."""
        return self.groups if self.kind == "group" else self.classes

    @cached_property
    def worst(self) -> GroupScore | None:
        """The group or class with the lowest accuracy; the first if several have it."""
        defined = [cell for cell in self.cells if cell.accuracy is not None]
        return min(defined, key=lambda cell: cell.accuracy or 0.0, default=None)

    @property
    def headlines(self) -> list[str]:
        """Keys of the main metrics that this split has."""
        return [name for name in SCALARS[self.kind] if name in self.scalars]

    def interval(self, name: str) -> Sequence[float | None]:
        """Lower and upper end of a metric's interval; both ``None`` if it has none."""
        return self.intervals.get(name, (None, None))

    def shown(self) -> list[int]:
        """Positions of the groups or classes in charts: the ``MOST_SHOWN`` least accurate ones.

        They keep their order.
        """
        accuracies = [2.0 if cell.accuracy is None else cell.accuracy for cell in self.cells]
        order = sorted(range(len(accuracies)), key=accuracies.__getitem__)
        return sorted(order[:MOST_SHOWN])


@dataclass(frozen=True)
class AttributeSplit(Split):
    """The metrics of one split for one of several bias attributes.

    Attributes:
        name: name of the attribute.
    """

    name: str = ""
