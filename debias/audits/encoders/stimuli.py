"""The image embedding association test on a folder of stimuli: one test per sub-folder."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.significance import holm
from debias.metrics.leakage.ieat import association_test, effect_interval
from debias.trained.images import find

#: Folders of a test: two kinds of target image, and two attributes.
SIDES = ("X", "Y", "A", "B")
#: Columns of the numbers of a test, in the file.
NUMBERS = ("d", "low", "high", "p", "p_holm")


class StimulusTest(NamedTuple):
    """The images of one association test.

    Attributes:
        name: name of the folder.
        sides: files of X, Y, A and B.
    """

    name: str
    sides: tuple[tuple[Path, ...], ...]


class AssociationRow(NamedTuple):
    """Result of one association test.

    Attributes:
        name: name of the test.
        effect_size: d in [-2, 2]; above 0 if X goes with A and Y with B.
        low, high: 95 % interval of d.
        p_value: one-sided p of the permutation test; NaN if X and Y differ in size.
        adjusted: the p-value after Holm's correction over all tests.
        sizes: number of images of X, Y, A and B.
    """

    name: str
    effect_size: float
    low: float
    high: float
    p_value: float
    adjusted: float
    sizes: tuple[int, ...]


def read_stimuli(folder: Path) -> list[StimulusTest]:
    """The tests in a folder ``STIMULI/<test>/<X|Y|A|B>/<image>``, in the order of their names.

    Raises:
        ValueError: there is no test, or a test lacks a side or its images.
    """
    places = [place for place in folder.iterdir() if place.is_dir()] if folder.is_dir() else []
    tests = sorted(place for place in places if not place.name.startswith("."))
    if not tests:
        raise InputError(
            f"stimuli={folder} has no folder of a test: make {folder}/<test>/<X|Y|A|B>/<image>"
        )
    for test in tests:
        absent = [side for side in SIDES if not (test / side).is_dir()]
        if absent:
            raise InputError(f"{test} has no folder {absent[0]}: a test needs {', '.join(SIDES)}")
    return [
        StimulusTest(test.name, tuple(tuple(find(test / side)) for side in SIDES)) for test in tests
    ]


def association_rows(
    tests: Sequence[StimulusTest], embed: Callable[[Sequence[Path]], Tensor]
) -> list[AssociationRow]:
    """Test all associations; each image is embedded once, also if several tests have it.

    Args:
        tests: the tests.
        embed: gives ``(n, D)`` features of n files.
    """
    files = sorted({file for test in tests for side in test.sides for file in side})
    features = dict(zip(files, embed(files), strict=True))
    sides = [[torch.stack([features[f] for f in side]) for side in test.sides] for test in tests]
    found = [association_test(*four) for four in sides]
    p_values = np.array([float(one.p_value) for one in found])
    known = ~np.isnan(p_values)
    adjusted = np.full_like(p_values, math.nan)
    adjusted[known] = holm(p_values[known])
    rows = []
    for test, one, corrected in zip(tests, found, adjusted.tolist(), strict=True):
        sizes = tuple(len(side) for side in test.sides)
        effect = float(one.effect_size)
        interval = effect_interval(effect, *sizes[:2])
        rows.append(
            AssociationRow(test.name, effect, *interval, float(one.p_value), corrected, sizes)
        )
    return rows


def association_csv(rows: Sequence[AssociationRow]) -> str:
    """The results as CSV: ``test, d, low, high, p, p_holm, n_x, n_y, n_a, n_b``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["test", *NUMBERS, *(f"n_{side.lower()}" for side in SIDES)])
    for row in rows:
        writer.writerow([row.name, *(f"{each:.6g}" for each in row[1:-1]), *row.sizes])
    return text.getvalue()
