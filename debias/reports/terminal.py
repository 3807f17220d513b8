"""Write the results of a run as lines for a terminal: accuracies and measures."""

from collections.abc import Collection, Mapping, Sequence

from debias.metrics.families import headlines, of_positive
from debias.reports.split import PLURALS, SCALARS, AttributeSplit, GroupScore, Scalars, Split
from debias.reports.wording import percent

#: With more groups than this, only half this number is listed: those with the lowest accuracy.
MOST_GROUPS = 24


def accuracy_lines(name: str, split: Split) -> list[str]:
    """Write accuracy, interval and count of each group of a split, and then its main metrics.

    If the bias of every image is unknown, the classes are listed instead of the groups. If that of
    some is unknown, the classes are listed too, because they contain every image. With several bias
    attributes, groups without images are not listed, since many combinations may not exist.

    Args:
        name: name of the split.
        split: metrics of the split.
    """
    cells, kind = split.cells, split.kind
    filled = [cell for cell in cells if cell.count]
    listed = filled if split.attributes else list(cells)
    if len(listed) > MOST_GROUPS:
        listed = sorted(filled, key=lambda cell: cell.accuracy or 0.0)[: MOST_GROUPS // 2]
    width = max(map(len, [*SCALARS[kind], *(cell.name for cell in listed)]))
    lines = [f"{name}: accuracy in percent, 95 % interval, images"]
    lines += [f"  {cell.name:{width}} {_group(cell)}" for cell in listed]
    if len(listed) < len(filled):
        lines.append(f"  ... {len(cells) - len(listed)} more {PLURALS[kind]}, none of them worse")
    elif len(listed) < len(cells):
        lines.append(f"  {len(cells) - len(listed)} of {len(cells)} {PLURALS[kind]} have no image")
    if kind == "class":
        lines.append("  the bias of every image is unknown: these are the classes")
    elif split.unknown:
        lines.append(f"  {split.unknown} images of unknown bias are in no group")
        lines += _class_lines(split.classes, width)
    lines += [f"  {key:{width}} {_percent(split.scalars[key])}" for key in split.headlines]
    for attribute in split.attributes:
        lines += _attribute_lines(attribute, width)
    return lines


def _attribute_lines(attribute: AttributeSplit, width: int) -> list[str]:
    """The groups of one of several bias attributes, its worst group and its gap."""
    lines = [f"  by {attribute.name} alone:"]
    if len(attribute.groups) <= MOST_GROUPS:
        filled = [cell for cell in attribute.groups if cell.count]
        lines += [f"  {cell.name:{width}} {_group(cell)}" for cell in filled]
    keys = ("worst_group", "gap")
    return lines + [f"  {key:{width}} {_percent(attribute.scalars.get(key))}" for key in keys]


def _class_lines(classes: Sequence[GroupScore], width: int) -> list[str]:
    if not classes or len(classes) > MOST_GROUPS:
        return []
    return [
        "  by class, with them:",
        *(f"  {cell.name:{width}} {_group(cell)}" for cell in classes),
    ]


def short_line(name: str, split: Split) -> str:
    """Write the main metrics of a split in one line."""
    accuracies = [f"{key} {percent(split.scalars[key], '-')}" for key in split.headlines]
    return f"{name}: {', '.join(accuracies)}"


def measure_lines(
    measures: Mapping[str, Scalars],
    left_out: Mapping[str, str],
    *,
    whole: Collection[str] = (),
    positive: str | None = None,
) -> list[str]:
    """Write one line per family of measures, and one per reason why families were left out.

    Args:
        measures: the numbers of each family.
        left_out: the families that were not measured, and the reasons.
        whole: families that are printed whole, with one line per number. For the others, only the
            headlines are printed.
        positive: the positive class of two, on which some families depend.
    """
    lines = []
    width = max(map(len, measures), default=0)
    for family, scalars in measures.items():
        if family in whole:
            keys = max(map(len, scalars), default=0)
            numbers = [f"  {key:{keys}} {_number(value)}" for key, value in scalars.items()]
            lines += [family, *numbers]
        else:
            shown = headlines(family, scalars).items()
            numbers = [f"{key} {_number(value)}" for key, value in shown]
            lines.append(f"{family:{width}}  {'  '.join(numbers)}")
    dependent = [name for name in measures if of_positive(name)]
    if positive is not None and dependent:
        lines.append(
            f"positive class: {positive} ({', '.join(dependent)}); positive=NAME sets another"
        )
    for reason in dict.fromkeys(left_out.values()):
        families = [name for name, why in left_out.items() if why == reason]
        lines.append(f"left out: {', '.join(families)}, because {reason}")
    return lines


def _group(cell: GroupScore) -> str:
    if not cell.count or cell.low is None or cell.high is None:
        return "    - no image"
    interval = f"[{100 * cell.low:5.1f}, {100 * cell.high:5.1f}]"
    return f"{_percent(cell.accuracy)} {interval} of {cell.count}"


def _percent(value: float | None) -> str:
    return f"{percent(value, '-'):>5}"


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"
