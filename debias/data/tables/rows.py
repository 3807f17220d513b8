"""The stage between a reader and its examples: columns of text to labels and splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.csv_files import Columns
from debias.data.examples import Examples
from debias.data.pictures.image_store import ImageStore
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.labels import Labels, Pairs, bias_columns, by_column, read_labels
from debias.data.tables.rules import LEAVE_OUT, RowRules, SplitRules
from debias.data.tables.splits import given_splits, split_rows
from debias.data.tables.subsets import TableRows, rows_with_class, rows_with_picture
from debias.data.tables.values import name_cells
from debias.errors import InputError, shown
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
        units: N cells of the column ``split_by``, or empty without one.
    """

    columns: Columns
    names: tuple[str, ...]
    kept: Sequence[int]
    target: Tensor
    bias: Tensor
    split: Tensor
    groups: Groups
    units: tuple[str, ...] = ()

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
            units=self.units,
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
    root: Path | None = None,
) -> LabelledRows:
    """Make classes, bias values and splits of the rows of a table.

    The steps are: names of cells and rows left out (``values``), bins, labels, and splits, which
    are read or drawn. A line on standard error says how many rows are left out or held out.

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
        root: folder of the pictures whose paths the names are; ``None`` if they are no files.

    Raises:
        ValueError: a column does not exist; a cell is not a class, bias value or split; there are
            neither splits nor shares; or all rows are left out, or all of a split or class.
    """
    named = name_cells(columns, rules)
    if left_out := len(names) - len(named.kept):
        say(f"{columns.source}: data.values leaves out {left_out} of {len(names)} rows")
    if not named.kept:
        raise InputError(
            f"{columns.source}: data.values leaves out all rows: give some cells a name, not null"
        )
    kept = tuple(names[row] for row in named.kept) if left_out else tuple(names)
    given = given_splits(named.columns, split, named.kept, rules)
    rows = TableRows(named.columns, kept, named.kept, given)
    target_names = target_names or named.orders.get(target)
    if rules.missing == LEAVE_OUT:
        rows = rows.take(rows_with_class(rows, target, target_names))
    biases = bias_columns(bias)
    orders = {name: named.orders[name] for name in biases if name in named.orders}
    labels = read_labels(
        rows.columns,
        target,
        bias,
        target_names=target_names,
        bias_names=orders | dict(by_column("bias_names", bias_names, biases, "[land, water]")),
        aligned=aligned,
    )
    return finish_rows(rows, labels, rules, root)


def finish_rows(
    rows: TableRows, labels: Labels, rules: SplitRules, root: Path | None = None
) -> LabelledRows:
    """Leave out rows without a picture, if the rules say so, and draw or hold out splits.

    Classes and bias values keep their numbers, also if all their rows are left out.

    Args:
        rows: the rows, with the column ``rules.split_by``.
        labels: their labels.
        rules: which rows are left out, and how splits are drawn.
        root: folder of the pictures whose paths the names are; ``None`` if they are no files.

    Raises:
        ValueError: all rows of a split or class are left out, or there are neither splits nor
            shares.
    """
    if root is not None and rules.missing == LEAVE_OUT:
        kept = rows_with_picture(rows, root)
        rows, labels = rows.take(kept), _taken(labels, kept, rows.columns.source)
    split = split_rows(rows.columns, rows.names, labels, rows.split, rules)
    target, bias, groups = labels
    units = () if rules.split_by is None else tuple(rows.columns.column(rules.split_by))
    return LabelledRows(rows.columns, rows.names, rows.kept, target, bias, split, groups, units)


def _taken(labels: Labels, rows: Sequence[int], source: Path) -> Labels:
    """The labels of some rows, which must have all classes."""
    taken = labels.take(rows)
    before, after = (
        torch.bincount(groups.row(target).flatten(), minlength=groups.rows)
        for target, _, groups in (labels, taken)
    )
    lost = (before > 0) & (after == 0)
    if bool(lost.any()):
        names = [labels.groups.target_names[row] for row in lost.nonzero().flatten().tolist()]
        raise InputError(
            f"{source}: no row of {shown(names)} has a picture: add pictures of each class, or "
            "leave the class out by data.values"
        )
    return taken
