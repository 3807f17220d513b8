"""The settings that a last-layer recipe chooses on held-out images, for the report."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.merging import Settings
from debias.types import Groups

#: Fewest images of a group for a choice that is not mostly chance: the accuracy of the group then
#: has a standard error below 0.1.
FEW = 30


class HeadChoice(NamedTuple):
    """The settings of a grid, their scores on held-out images, and the chosen one.

    Attributes:
        grid: the settings, in the order in which they were tried.
        scores: ``(settings,)`` float, the accuracy of the worst group or class on these images.
        best: position of the chosen setting.
        on: name of the held-out images in messages, such as "val" or "half of val".
        group: ``(N,)`` int64 group (or class) of each held-out image; -1 if unknown.
        grouped: whether ``group`` has groups; ``False`` means classes.
        inferred: whether ``group`` has numbers of inferred groups, in place of either.
    """

    grid: Sequence[Mapping[str, float]]
    scores: Tensor
    best: int
    on: str
    group: Tensor
    grouped: bool
    inferred: bool = False


def described(choice: HeadChoice, groups: Groups) -> Settings:
    """The report's entry about a choice. Warns if a group or class has fewer than ``FEW`` images.

    Args:
        choice: the choice.
        groups: the groups of the data set, for their names.
    """
    grid = [
        {**setting, "score": score}
        for setting, score in zip(choice.grid, choice.scores.tolist(), strict=True)
    ]
    kind, names = ("group", groups.names) if choice.grouped else ("class", groups.target_names)
    if choice.inferred:
        kind, names = "group", tuple(f"inferred {g}" for g in range(int(choice.group.max()) + 1))
    counts = torch.bincount(choice.group[choice.group >= 0], minlength=len(names)).tolist()
    count, name = min((count, name) for count, name in zip(counts, names, strict=True) if count)
    if count < FEW:
        warnings.warn(
            f"the last layer's {' and '.join(choice.grid[0])} is chosen by the worst {kind} of "
            f"{choice.on}, where {name} has {count} images: with fewer than {FEW}, the choice is "
            f"mostly chance; add validation images of {name}",
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
