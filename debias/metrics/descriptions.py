"""How to read each number, for ``debias list metrics``, the page and the docs.

The texts are in a table ``numbers.csv`` in the folder of each family. Pure Python.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Description(NamedTuple):
    """A title, how to read it, the value of a perfect model, and "higher" or "lower" for better.

    Where the best value depends on the data it is NaN; where neither direction is better,
    ``better`` is empty.
    """

    title: str
    meaning: str
    ideal: float
    better: str


class Family(NamedTuple):
    """A family of measures, which a report holds under ``measures``.

    Attributes:
        title, meaning: its name, and the question it answers.
        numbers: how to read each number. A key with ``<names>`` stands for one number of each
            group, bias value and so on.
        headlines: the few numbers that are shown where there is no room for all.
        needs: conditions of the measurement, by their names in ``debias.evaluation.families``.
        quick: it takes no model and next to no time, so that every training reports it.
        curve: name of what a report holds of it under ``curves``, if anything.
        of_positive: it depends on which of two classes is the positive one.
    """

    title: str
    meaning: str
    numbers: Mapping[str, Description]
    headlines: tuple[str, ...]
    needs: tuple[str, ...]
    quick: bool = True
    curve: str = ""
    of_positive: bool = False


def numbers(folder: str, family: str) -> dict[str, Description]:
    """How to read each number of a family: its rows in ``numbers.csv`` of a folder of this room.

    An empty ``ideal`` is NaN. "chance" is NaN too, and says in the text what chance is.
    """
    path = Path(__file__).parent / folder / "numbers.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["family"] == family]
    return {row["key"]: _description(row) for row in rows}


def _description(row: Mapping[str, str]) -> Description:
    meaning, ideal = row["meaning"], row["ideal"]
    if ideal == "chance":
        meaning += " Chance, the best there is, is 1 / number of bias values."
    known = ideal not in ("", "chance")
    return Description(row["title"], meaning, float(ideal) if known else math.nan, row["better"])


#: How to read the group accuracies, which every report holds outside the families.
DESCRIPTIONS = numbers("accuracy", "accuracy")
