"""Describe the results of a run in plain words, for its page."""

from debias.errors import shown
from debias.metrics.selection import LAST
from debias.reports.record import Choice, Report
from debias.reports.split import GroupScore, Split

#: What helps if a file of predictions cannot be read.
PREDICT_AGAIN = "write it again with `debias evaluate RUN`"

RULES = {
    "worst_group": "worst-group accuracy",
    "worst_class": "worst-class accuracy (needs no group labels)",
    "average": "average accuracy",
    "balanced": "group-balanced accuracy",
    "class_difference": "class difference (less is better; needs no group labels)",
    LAST: "nothing: the last epoch (needs no group labels)",
}

LABELS_USED = {
    "none": "No group labels were used, in training or in choosing the epoch.",
    "val": "Group labels were used on the validation split only.",
    "train": "Group labels were used in training, not in choosing the epoch.",
    "train+val": "Group labels were used in training and in choosing the epoch.",
}


def percent(value: float | None, missing: str = "–") -> str:
    """Format a fraction in percent with one decimal, without "%".

    Example:
        >>> percent(0.7123), percent(None), percent(-1e-9)
        ('71.2', '–', '0.0')
    """
    # adding zero turns -0.0, the rounding of a tiny negative gap, into 0.0
    return missing if value is None else f"{round(100 * value, 1) + 0.0:.1f}"


def number(value: float) -> str:
    """Format a number of any unit: with three decimals, or without decimals from 100 on.

    A number that would round to 0.000 has one significant digit, down to 0.0001.

    Example:
        >>> number(0.71234), number(-0.00002), number(0.00021), number(2255.0), number(28.31)
        ('0.712', '0.000', '0.0002', '2,255', '28.310')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1g}" if 0.0001 <= abs(value) < 0.0005 else f"{round(value, 3) + 0.0:.3f}"


def verdict(report: Report) -> list[str]:
    """Summarise the test results of a run in a few sentences, for the top of its page."""
    test = report.test
    if test.worst is None:
        return ["No group has an accuracy, because no test image has a known bias attribute."]
    sentences = [_achievement(report.method, test, test.worst), _selection(report)]
    sentences.append(_doubt(test, test.worst))
    if test.kind == "class":
        sentences.append("Results are by class, because no test image has a known bias attribute.")
    return [sentence for sentence in sentences if sentence]


def choice_line(choice: Choice) -> str:
    """Describe the setting that a recipe chose on held-out images, and its score.

    Example:
        >>> chosen, smallest = {"C": 0.07, "score": 0.714}, {"name": "waterbird-land", "count": 7}
        >>> line = choice_line(Choice("worst_group", "half of val", chosen, (chosen,), smallest))
        >>> print(line.replace("; ", ";\\n"))
        C=0.07, with 71.4 % in the worst group of half of val;
        its smallest group, waterbird-land, has 7 images
    """
    kind, smallest = choice.by.removeprefix("worst_"), choice.smallest
    settings = ", ".join(
        f"{key}={value:g}" for key, value in choice.chosen.items() if key != "score"
    )
    tried = f" of {len(choice.grid)} settings" if len(choice.grid) > 1 else ""
    return (
        f"{settings}{tried}, with {percent(choice.chosen['score'])} % in the worst {kind} of "
        f"{choice.on}; its smallest {kind}, {smallest['name']}, has {smallest['count']} images"
    )


def _achievement(method: str, test: Split, worst: GroupScore) -> str:
    average, accuracy = test.scalars.get("average"), worst.accuracy or 0.0
    low, high = test.interval(f"worst_{test.kind}")
    interval = "" if low is None else f" [{percent(low)}, {percent(high)}]"
    images = "test image" if worst.count == 1 else "test images"
    sentence = (
        f"{method} reaches {percent(accuracy)} %{interval} on its worst {test.kind}, "
        f"{worst.name} ({worst.count} {images})"
    )
    if average is None:
        return f"{sentence}."
    # the average also has the images of unknown bias, and may be below every group
    side = "under" if accuracy <= average else "above"
    gap = percent(abs(average - accuracy))
    return f"{sentence}, {gap} points {side} its average of {percent(average)} %."


def _selection(report: Report) -> str:
    rule, epoch = report.selection.rule, report.selection.epoch
    which = f"epoch {epoch} was chosen by validation {RULES.get(rule, rule)}"
    if len(report.history) == 1:
        which = "its only epoch was used"
    elif rule == LAST:
        which = f"epoch {epoch}, the last, was used"
    labels = LABELS_USED.get(report.strategy.group_labels, "")
    return f"{which[0].upper()}{which[1:]}. {labels}".strip()


def _doubt(test: Split, worst: GroupScore) -> str:
    """Add a caution if the interval of the worst group or class overlaps with others.

    The interval of a group without images is [0, 1], and does not count.
    """
    if worst.high is None:
        return ""
    rivals = [
        cell.name
        for cell in test.cells
        if cell is not worst and cell.count and cell.low is not None and cell.low < worst.high
    ]
    if not rivals:
        return ""
    overlap = "the interval of" if len(rivals) == 1 else "the intervals of"
    return (
        f"It is uncertain which {test.kind} is the worst: its interval overlaps {overlap} "
        f"{shown(rivals)}."
    )
