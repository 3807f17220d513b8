"""The split of each row: read from a column, drawn, or held out of training."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.csv_files import Columns
from debias.data.draws import draw_splits
from debias.data.examples import SPLITS
from debias.data.labels import Labels
from debias.data.rules import RowRules
from debias.errors import InputError
from debias.progress import say

TRAIN, VAL = SPLITS.index("train"), SPLITS.index("val")


def split_rows(
    columns: Columns,
    names: Sequence[str],
    labels: Labels,
    split: str | Tensor | None,
    rules: RowRules,
) -> Tensor:
    """``(N,)`` int64 positions in ``SPLITS``.

    With ``rules.shares`` all splits are drawn. Otherwise they are given, and if no row is in the
    validation split, a part of training is held out. One line on standard error then says so.

    Args:
        columns: the table; it has the column ``rules.split_by``.
        names: a different name for each row. Draws depend on it.
        labels: classes and bias values of the rows. Draws are stratified by both.
        split: column of the splits, or ``(N,)`` their positions, or ``None``.
        rules: the options of the user.

    Raises:
        ValueError: a column does not exist, a cell is not a split, or there are neither splits nor
            shares.
    """
    if rules.shares is not None:
        return _draw(columns, names, labels, range(len(names)), rules.shares, rules)
    if split is None:
        raise InputError(
            f"{columns.source} has no splits: set data.split to the column of the splits, or draw "
            "splits by data.shares=[0.8,0.1,0.1]"
        )
    splits = split if isinstance(split, Tensor) else columns.splits(split)
    train = (splits == TRAIN).nonzero().flatten()
    if not rules.holdout or not len(train) or bool((splits == VAL).any()):
        return splits
    shares = [1 - rules.holdout, rules.holdout]
    drawn = _draw(columns, names, labels, train.tolist(), shares, rules)
    held_out = train[drawn == VAL]
    say(
        f"{columns.source} has no validation row: {len(held_out)} of {len(train)} training rows "
        f"are held out for validation (data.holdout={rules.holdout})"
    )
    return splits.index_fill(0, held_out, VAL)


def _draw(
    columns: Columns,
    names: Sequence[str],
    labels: Labels,
    rows: Sequence[int],
    shares: Sequence[float],
    rules: RowRules,
) -> Tensor:
    units = None
    if rules.split_by is not None:
        cells = columns.column(rules.split_by)
        units = [cells[row] for row in rows]
    among = torch.tensor(rows)
    return draw_splits(
        [names[row] for row in rows],
        labels.target[among],
        labels.bias[among],
        shares=shares,
        units=units,
        seed=rules.split_seed,
    )
