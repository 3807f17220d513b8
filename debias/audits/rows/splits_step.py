"""The step ``splits``: whether training, validation and test images were drawn alike."""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from debias.audits.cues.probing import unit_folds
from debias.audits.cues.units import audited_units
from debias.audits.lines import AuditLine, Section, ValueBar
from debias.audits.rows.duplicates_step import DUPLICATES
from debias.audits.rows.splits import ALL_CLASSES, SplitDifference, split_differences
from debias.audits.rows.whole_images import WHOLE_IMAGES, plain_numbers, whole_image_numbers
from debias.audits.steps import Arrays, Audited, Step
from debias.audits.strengths import strength
from debias.data.examples import SPLITS
from debias.metrics.accuracy.significance import holm

#: Name of the step.
SPLITS_STEP_NAME = "splits"
#: Largest p-value, adjusted for all comparisons, of splits that were not drawn alike.
LEVEL = 0.01


class ComparedSplits(NamedTuple):
    """Two splits, compared inside one class or on average over the classes.

    Attributes:
        first: position of the first split in ``SPLITS``.
        second: position of the second split.
        difference: what was measured.
        adjusted: its p-value, adjusted by Holm's method over all comparisons.
    """

    first: int
    second: int
    difference: SplitDifference
    adjusted: float

    @property
    def title(self) -> str:
        """The names of the splits."""
        return f"{SPLITS[self.first]} and {SPLITS[self.second]}"

    def found(self) -> str:
        """How much was found."""
        return strength(self.difference.auroc, self.adjusted, level=LEVEL)


def _compute(audited: Audited) -> Arrays:
    # a network that was trained on one of the splits tells it by what it has learned by heart
    numbers = (plain_numbers if audited.encoder_saw_labels else whole_image_numbers)(audited)
    generator = np.random.default_rng(audited.seed)
    unit = audited_units(audited)
    half = unit_folds(
        unit,
        audited.target * len(SPLITS) + audited.split,
        generator.permutation(len(audited.rows)),
        folds=2,
    )
    table = []
    for first, second in combinations(sorted(set(audited.split.tolist())), 2):
        rows = np.isin(audited.split, (first, second))
        found = split_differences(
            numbers[rows],
            audited.split[rows] == second,
            audited.target[rows],
            half[rows] == 0,
            generator=generator,
            unit=unit[rows],
        )
        table += [(first, second, *one) for one in found]
    values = np.array(table, dtype=np.float64).reshape(-1, 8)
    adjusted = holm(values[:, 6])
    return {"compared": np.column_stack([values, adjusted])}


def _compared(audited: Audited) -> list[ComparedSplits]:
    rows = audited.found[SPLITS_STEP_NAME]["compared"].tolist()
    return [
        ComparedSplits(
            int(first),
            int(second),
            SplitDifference(int(target), auroc, low, high, p_value, int(images)),
            adjusted,
        )
        for first, second, target, auroc, low, high, p_value, images, adjusted in rows
    ]


def _inside(audited: Audited, one: ComparedSplits) -> str:
    target = one.difference.target
    return "inside the classes" if target == ALL_CLASSES else f"inside {audited.classes[target]}"


def _lines(audited: Audited) -> list[AuditLine]:
    """The largest difference of each pair of splits, or that there is none."""
    compared = _compared(audited)
    if not compared:
        return []
    lines = []
    for pair in sorted({(one.first, one.second) for one in compared}):
        same = [one for one in compared if (one.first, one.second) == pair]
        apart = [one for one in same if one.found() != "none found"]
        if apart:
            lines.append(_line(audited, max(apart, key=lambda one: one.difference.auroc)))
    if lines:
        return lines
    largest = max(one.difference.auroc for one in compared if one.difference.target == ALL_CLASSES)
    words = f"no probe tells the splits apart inside a class (mean AUROC at most {largest:.2f})"
    return [AuditLine("splits", "", "none found", words)]


def _line(audited: Audited, one: ComparedSplits) -> AuditLine:
    found = one.difference
    words = f"{_inside(audited, one)}, a probe tells them apart with AUROC {found.auroc:.2f}"
    words += ": they were not drawn alike"
    line = AuditLine("splits", one.title, one.found(), words, found.auroc, found.low, found.high)
    return line._replace(chance=0.5, measure="AUROC", images=found.images)


def _section(audited: Audited) -> Section | None:
    compared = _compared(audited)
    if not compared:
        return None
    bars = [
        ValueBar(
            f"{one.title}, {_inside(audited, one)}",
            one.difference.auroc,
            one.difference.low,
            one.difference.high,
        )
        for one in compared
    ]
    text = (
        "A probe learns from half of the images of a class which split they are in. The bars are "
        "its AUROC on the other half. Splits that were drawn alike have 0.5.",
        "A model that is selected or judged on images of another kind may be selected or judged "
        "for something else. It can be meant, as in benchmarks of shortcuts.",
    )
    header = ("splits", "class", "AUROC", "p-value", "adjusted", "images")
    table = [_row(audited, one) for one in compared]
    return Section("Splits", text, chance=0.5, bars=bars, header=header, table=table)


def _row(audited: Audited, one: ComparedSplits) -> tuple[str, ...]:
    found = one.difference
    numbers = f"{found.auroc:.3f}", f"{found.p_value:.4f}", f"{one.adjusted:.4f}"
    return (one.title, _inside(audited, one), *numbers, f"{found.images:,}")


def _unavailable(audited: Audited) -> str:
    return "" if len(set(audited.split.tolist())) > 1 else "there is one split"


SPLITS_STEP = Step(
    *(SPLITS_STEP_NAME, (DUPLICATES,), _compute, _lines, _section, _unavailable),
    uses=WHOLE_IMAGES,
    version=2,
)
