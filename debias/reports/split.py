"""The metrics of one split, as a report holds them: its groups or classes, and every scalar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Scalars of a split that are shown first, by what its accuracies are listed by. The first one
#: ranks.
SCALARS: Mapping[str, tuple[str, ...]] = {
    "group": ("worst_group", "adjusted_average", "average", "worst_class"),
    "class": ("worst_class", "class_balanced", "average"),
}
#: Prefix of the accuracies among the scalars.
PREFIXES: Mapping[str, str] = {"group": "accuracy/", "class": "class_accuracy/"}
#: The plural.
PLURALS: Mapping[str, str] = {"group": "groups", "class": "classes"}
#: More groups than these cannot be told apart in a chart or a gallery.
MOST_SHOWN = 8

#: Numbers by name. ``None`` is a number that is undefined on these images.
Scalars = Mapping[str, float | None]


@dataclass(frozen=True)
class GroupScore:
    """Accuracy of a group or class, its number of images, and its 95 % Wilson interval."""

    name: str
    accuracy: float | None
    count: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Split:
    """The metrics of one split.

    Attributes:
        scalars: every metric.
        groups: of known bias.
        intervals: low and high end, of the worst group and the worst class.
        classes: none in reports of earlier versions.
        unknown: how many images have an unknown bias.
    """

    scalars: Scalars
    groups: tuple[GroupScore, ...]
    intervals: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    classes: tuple[GroupScore, ...] = ()
    unknown: int = 0

    @property
    def kind(self) -> str:
        """``"group"``, or ``"class"`` where no image of the split has a known bias."""
        known = any(group.count for group in self.groups)
        return "group" if known or not self.classes else "class"

    @property
    def cells(self) -> tuple[GroupScore, ...]:
        """The groups, or the classes, by ``kind``."""
        return self.groups if self.kind == "group" else self.classes

    @property
    def worst(self) -> GroupScore | None:
        """The group or class with the lowest accuracy, the first of several."""
        defined = [cell for cell in self.cells if cell.accuracy is not None]
        return min(defined, key=lambda cell: cell.accuracy or 0.0, default=None)

    @property
    def headlines(self) -> list[str]:
        """Keys of the scalars that are shown first."""
        return [name for name in SCALARS[self.kind] if name in self.scalars]

    def interval(self, name: str) -> Sequence[float | None]:
        """Low and high end, ``None`` where there is no interval."""
        return self.intervals.get(name, (None, None))

    def shown(self) -> list[int]:
        """Places of the cells that charts show: all, or the least accurate, in their order."""
        accuracies = [2.0 if cell.accuracy is None else cell.accuracy for cell in self.cells]
        order = sorted(range(len(accuracies)), key=accuracies.__getitem__)
        return sorted(order[:MOST_SHOWN])
