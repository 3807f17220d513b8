"""The image embedding association test on a folder of stimuli: one test per sub-folder."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.uncertainty import holm
from debias.metrics.leakage.ieat import association_test
from debias.trained.images import find

#: Folders of a test: two kinds of target image, and two attributes.
SIDES = ("X", "Y", "A", "B")


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
        p_value: one-sided p of the permutation test; NaN if X and Y differ in size.
        adjusted: the p-value after Holm's correction over all tests.
        sizes: number of images of X, Y, A and B.
    """

    name: str
    effect_size: float
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
    p_values = torch.tensor([one.p_value for one in found], dtype=torch.float64)
    known = ~p_values.isnan()
    adjusted = torch.full_like(p_values, math.nan)
    if bool(known.any()):
        adjusted[known] = holm(p_values[known])
    return [
        AssociationRow(
            test.name,
            float(one.effect_size),
            float(one.p_value),
            float(corrected),
            tuple(len(side) for side in test.sides),
        )
        for test, one, corrected in zip(tests, found, adjusted, strict=True)
    ]


def association_csv(rows: Sequence[AssociationRow]) -> str:
    """The results as CSV: ``test, d, p, p_holm, n_x, n_y, n_a, n_b``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["test", "d", "p", "p_holm", *(f"n_{side.lower()}" for side in SIDES)])
    for row in rows:
        numbers = [f"{each:.6g}" for each in (row.effect_size, row.p_value, row.adjusted)]
        writer.writerow([row.name, *numbers, *row.sizes])
    return text.getvalue()
