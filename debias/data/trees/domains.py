"""Splits by domains, and splits with the same number of images of each group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from debias.csv_files import Columns
from debias.data.examples import SPLITS
from debias.data.listing import below_shared_folder
from debias.data.tables.draws import random_key
from debias.data.tables.rules import RowRules
from debias.data.tables.values import name_cells
from debias.errors import InputError, check_at_least, near

TRAIN, VAL, TEST = range(len(SPLITS))
#: The splits of rows: their column, their positions in ``SPLITS``, or ``None`` without splits.
Splits = str | Tensor | None


def domain_splits(
    columns: Columns, split: Splits, biases: Sequence[str], test_domains: Sequence[str] | None
) -> Splits:
    """Splits in which some values of the bias column are the test split.

    Args:
        columns: the table.
        split: the splits without test domains.
        biases: the bias columns.
        test_domains: values of the only bias column; ``None`` returns ``split``.

    Raises:
        InputError: there are splits already, there is not one bias column, or a value is not in it.
    """
    if test_domains is None:
        return split
    if split is not None:
        raise InputError(
            "data.test_domains allows no splits of the data: write {_} in place of the "
            "field of splits, and leave out data.split"
        )
    if len(biases) != 1:
        raise InputError(f"data.test_domains needs one bias field; got bias={list(biases)}")
    cells = columns.column(biases[0])
    for name in test_domains:
        if name not in cells:
            raise InputError(
                f"data.test_domains: {columns.source} has no {name!r}; {near(name, set(cells))}"
            )
    chosen = set(test_domains)
    return torch.tensor([TEST if cell in chosen else TRAIN for cell in cells], dtype=torch.int64)


def per_group_splits(
    columns: Columns,
    split: Splits,
    labels: Sequence[str],
    numbers: Sequence[int] | None,
    rules: RowRules,
) -> Splits:
    """Splits in which validation and test have the same number of rows of each group.

    A group with fewer rows has none in training. Its rows are divided in the same proportion.

    Args:
        columns: the table. Draws depend on the column ``path``, not on the order of rows.
        split: the splits without these numbers.
        labels: the columns of the class and the bias, which define the groups after ``values`` and
            ``bins``.
        numbers: rows per group in validation and test; ``None`` returns ``split``.
        rules: how cells become names, and the seed of the draw.

    Raises:
        InputError: there are splits already, or the numbers are not two from 0.
    """
    if numbers is None:
        return split
    if split is not None:
        raise InputError(
            "data.per_group allows no other splits: write {_} in place of the field of splits, and "
            "leave out data.split and data.test_domains"
        )
    if len(numbers) != 2 or not sum(numbers):
        raise InputError(
            f"data.per_group needs two numbers, as in [25, 50]; got per_group={list(numbers)}"
        )
    check_at_least(0, {"data.per_group": min(numbers)})
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    named = name_cells(columns, rules)
    cells = (named.columns.column(name) for name in labels)
    for row, *group in zip(named.kept, *cells, strict=True):
        groups[tuple(group)].append(row)
    splits = torch.full((len(columns.lines),), TRAIN, dtype=torch.int64)
    paths = below_shared_folder(columns.cells["path"])
    for rows in groups.values():
        drawn = sorted(rows, key=lambda row: random_key(rules.split_seed, paths[row]))[
            : sum(numbers)
        ]
        val = len(drawn) * numbers[0] // sum(numbers)
        splits[drawn[:val]], splits[drawn[val:]] = VAL, TEST
    return splits
