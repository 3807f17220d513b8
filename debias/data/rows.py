"""The stage between a reader and its examples: columns of text to labels and splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.csv_files import Columns
from debias.data.examples import Examples
from debias.data.labels import Pairs, bias_columns, by_column, read_labels
from debias.data.pictures.image_store import ImageStore
from debias.data.pictures.images import MAX_PIXELS
from debias.data.rules import RowRules
from debias.data.splits import split_rows
from debias.data.values import name_cells
from debias.progress import say
from debias.types import Groups


class LabelledRows(NamedTuple):
    """The rows of a table that a data set has.

    Attributes:
        columns: their cells.
        names: their names.
        kept: their positions in the table.
        target: ``(N,)`` int64 classes.
        bias: ``(N,)`` int64 bias values, or -1.
        split: ``(N,)`` int64 positions in ``SPLITS``.
        groups: names and numbering of the groups.
    """

    columns: Columns
    names: tuple[str, ...]
    kept: Sequence[int]
    target: Tensor
    bias: Tensor
    split: Tensor
    groups: Groups

    def examples(
        self,
        root: Path,
        *,
        max_pixels: int = MAX_PIXELS,
        follow_links: bool = False,
        held: ImageStore | None = None,
    ) -> Examples:
        """The rows as examples, whose images are named by the rows; arguments as there."""
        return Examples(
            root,
            self.names,
            self.target,
            self.bias,
            self.split,
            self.groups,
            self.columns.source,
            max_pixels=max_pixels,
            follow_links=follow_links,
            held=held,
        )


def label_rows(
    columns: Columns,
    names: Sequence[str],
    rules: RowRules,
    *,
    target: str,
    bias: str | Sequence[str] | None,
    split: str | Tensor | None,
    target_names: Sequence[str] | None = None,
    bias_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    aligned: Pairs | Mapping[str, Pairs] | None = None,
) -> LabelledRows:
    """Make classes, bias values and splits of the rows of a table.

    The steps are: names of cells and rows left out (``values``), bins, labels, and splits, which
    are read or drawn. One line on standard error says how many rows are left out or held out.

    Args:
        columns: the table, with all columns that the other arguments and ``rules.columns`` name.
        names: a different name for each row, such as the path of its image. Draws depend on it.
        rules: how rows become labels and splits.
        target: column of the classes.
        bias: column or columns of the bias attribute, or ``None``.
        split: column of the splits, or ``(N,)`` their positions. It is not used if the rules have
            ``shares``.
        target_names: the classes in order, as in :func:`read_labels`.
        bias_names: the bias values in order, as there.
        aligned: the bias-aligned (target, bias) pairs, as there.

    Raises:
        ValueError: a column does not exist; a cell is not a class, bias value or split; or there
            are neither splits nor shares.
    """
    named = name_cells(columns, rules)
    if left_out := len(names) - len(named.kept):
        say(f"{columns.source}: data.values leaves out {left_out} of {len(names)} rows")
    columns, kept = named.columns, named.kept
    biases = bias_columns(bias)
    orders = {name: named.orders[name] for name in biases if name in named.orders}
    labels = read_labels(
        columns,
        target,
        bias,
        target_names=target_names or named.orders.get(target),
        bias_names=orders | dict(by_column("bias_names", bias_names, biases, "[land, water]")),
        aligned=aligned,
    )
    names = tuple(names[row] for row in kept)
    if isinstance(split, Tensor):
        split = split[torch.tensor(kept)]
    splits = split_rows(columns, names, labels, split, rules)
    return LabelledRows(columns, names, kept, labels.target, labels.bias, splits, labels.groups)
