"""What a recipe for the last layer chose on held-out images: grid, scores, image counts."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.merging import Settings
from debias.types import Groups

#: Fewest images of a group by which a choice is more than a lottery: an accuracy then has a
#: standard error below 0.1.
FEW = 30


class HeadChoice(NamedTuple):
    """Settings that were compared, and the held-out rows by which.

    Attributes:
        grid: the settings, in the order in which they were tried.
        scores: ``(settings,)`` float, the accuracy of the worst group or class on the rows.
        best: position of the one that was taken.
        on: what the rows are of, to read: "val", "half of val".
        group: ``(N,)`` int64, of each row; -1 where unknown.
        grouped: whether that is the group, and not the class in its place.
    """

    grid: Sequence[Mapping[str, float]]
    scores: Tensor
    best: int
    on: str
    group: Tensor
    grouped: bool


def described(choice: HeadChoice, groups: Groups) -> Settings:
    """A choice as a report holds it; warns of a group or class of less than ``FEW`` rows.

    Args:
        choice: what was chosen.
        groups: of the data set, for the names.
    """
    grid = [
        {**setting, "score": score}
        for setting, score in zip(choice.grid, choice.scores.tolist(), strict=True)
    ]
    kind, names = ("group", groups.names) if choice.grouped else ("class", groups.target_names)
    counts = torch.bincount(choice.group[choice.group >= 0], minlength=len(names)).tolist()
    count, name = min((count, name) for count, name in zip(counts, names, strict=True) if count)
    if count < FEW:
        warnings.warn(
            f"the last layer's {' and '.join(choice.grid[0])} is chosen by the worst {kind} of "
            f"{choice.on}, where {name} has {count} images: of less than {FEW} the choice is a "
            "lottery, add validation images of it",
            stacklevel=2,
        )
    smallest = {"name": name, "count": count}
    return {
        "by": f"worst_{kind}",
        "on": choice.on,
        "smallest": smallest,
        "chosen": grid[choice.best],
        "grid": grid,
    }
