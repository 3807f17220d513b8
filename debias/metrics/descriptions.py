"""Titles and explanations of every metric, for ``debias list metrics``, the pages and the docs.

Each folder of ``debias.metrics`` holds its texts in a table ``numbers.csv``. Pure Python.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Description(NamedTuple):
    """Explanation of one metric.

    Attributes:
        title: short name.
        meaning: one or two sentences that say how to read it.
        ideal: value of a perfect model; NaN if it depends on the data.
        better: "higher" or "lower"; empty if neither is better.
    """

    title: str
    meaning: str
    ideal: float
    better: str


class Family(NamedTuple):
    """A family of measures. A report holds its numbers under ``measures``.

    Attributes:
        title: name of the family.
        meaning: the question that it answers.
        numbers: explanation of each number, by key. A key with a placeholder such as ``<group>``
            exists once for each group, bias value, and so on.
        headlines: keys of the few numbers that short tables show.
        needs: conditions of the measurement, by their names in ``debias.evaluation.families``.
        quick: whether it needs no model and almost no time. Every training then reports it.
        curve: name of its entry under ``curves`` in a report; empty if it has none.
        of_positive: whether its numbers depend on which of two classes is the positive one.
        by_request: whether it is measured only if it is named: by the user, or by a data set that
            was made for it.
        by_attribute: whether it is also measured for each of several bias attributes alone. A
            report holds these numbers under ``NAME/ATTRIBUTE``.
    """

    title: str
    meaning: str
    numbers: Mapping[str, Description]
    headlines: tuple[str, ...]
    needs: tuple[str, ...]
    quick: bool = True
    curve: str = ""
    of_positive: bool = False
    by_request: bool = False
    by_attribute: bool = False


def numbers(folder: str, family: str) -> dict[str, Description]:
    """Read the explanations of a family's numbers from ``debias/metrics/FOLDER/numbers.csv``.

    An empty ``ideal`` becomes NaN. An ``ideal`` of "chance" becomes NaN too, and adds a sentence
    about chance to the meaning.

    Args:
        folder: name of a folder of ``debias.metrics``, such as ``accuracy``.
        family: value of the column ``family`` that selects the rows.

    Returns:
        Explanations by key.
    """
    path = Path(__file__).parent / folder / "numbers.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["family"] == family]
    return {row["key"]: _description(row) for row in rows}


def _description(row: Mapping[str, str]) -> Description:
    meaning, ideal = row["meaning"], row["ideal"]
    if ideal == "chance":
        meaning += " The ideal is chance: 1 / number of bias values."
    known = ideal not in ("", "chance")
    return Description(row["title"], meaning, float(ideal) if known else math.nan, row["better"])


#: Explanations of the group accuracies. Every report holds these numbers outside the families.
DESCRIPTIONS = numbers("accuracy", "accuracy")
