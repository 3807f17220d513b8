"""The split of each row: read from a column, drawn, or held out of training."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.csv_files import Columns
from debias.data.examples import SPLITS
from debias.data.listing import below_shared_folder
from debias.data.tables.draws import draw_splits
from debias.data.tables.labels import Labels
from debias.data.tables.rules import SplitRules
from debias.errors import InputError
from debias.progress import say

TRAIN, VAL = SPLITS.index("train"), SPLITS.index("val")


def given_splits(
    columns: Columns, split: str | Tensor | None, kept: Sequence[int], rules: SplitRules
) -> Tensor | None:
    """``(N,)`` int64 positions in ``SPLITS``, or ``None`` if splits are to be drawn.

    Args:
        columns: the rows that are kept.
        split: column of the splits; or positions in ``SPLITS``, of all rows of the table.
        kept: positions of the rows in the table.
        rules: the options of the user.

    Raises:
        ValueError: there is no such column, a cell is not a split, or there are neither splits nor
            shares.
    """
    if rules.shares is not None:
        return None
    if isinstance(split, Tensor):
        return split[torch.tensor(kept, dtype=torch.int64)]
    if split is None:
        raise InputError(
            f"{columns.source} has no splits: set data.split to the column of the splits, or draw "
            "splits by data.shares=[0.8,0.1,0.1]"
        )
    return columns.splits(split)


def split_rows(
    columns: Columns,
    names: Sequence[str],
    labels: Labels,
    given: Tensor | None,
    rules: SplitRules,
) -> Tensor:
    """``(N,)`` int64 positions in ``SPLITS``.

    With ``rules.shares`` all splits are drawn. Otherwise they are given, and if no row is in the
    validation split, a part of training is held out. A line on standard error then says so.

    Args:
        columns: the table; it has the column ``rules.split_by``.
        names: a different name for each row. Draws depend on it, without the folder that all names
            share.
        labels: classes and bias values of the rows. Draws are stratified by both.
        given: the result of :func:`given_splits`.
        rules: the options of the user.

    Raises:
        ValueError: there is no column ``rules.split_by``.
    """
    if given is None:
        return _draw(columns, names, labels, range(len(names)), rules.shares or [1.0], rules)
    train = (given == TRAIN).nonzero().flatten()
    if not rules.holdout or not len(train) or bool((given == VAL).any()):
        return given
    shares = [1 - rules.holdout, rules.holdout]
    drawn = _draw(columns, names, labels, train.tolist(), shares, rules)
    held_out = train[drawn == VAL]
    if len(held_out):
        say(
            f"{columns.source} has no validation row: {len(held_out)} of {len(train)} training "
            f"rows are held out for validation (data.holdout={rules.holdout})"
        )
    return given.index_fill(0, held_out, VAL)


def _draw(
    columns: Columns,
    names: Sequence[str],
    labels: Labels,
    rows: Sequence[int],
    shares: Sequence[float],
    rules: SplitRules,
) -> Tensor:
    units = None
    if rules.split_by is not None:
        cells = columns.column(rules.split_by)
        units = [cells[row] for row in rows]
    among = torch.tensor(rows)
    names = below_shared_folder(names)
    return draw_splits(
        [names[row] for row in rows],
        labels.target[among],
        labels.bias[among],
        shares=shares,
        units=units,
        seed=rules.split_seed,
    )
