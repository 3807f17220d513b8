"""The options that all readers of columns share: values, bins, splits and rows left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from debias.errors import InputError, check_between, check_one_of

#: The values of ``missing``.
REFUSE, LEAVE_OUT = "refuse", "leave_out"


@dataclass(frozen=True, kw_only=True)
class SplitRules:
    """Which rows of a table a data set has, and in which splits.

    A reader has one keyword-only argument with this default. Its fields are then options of the
    reader, beside the others (:mod:`debias.signatures`).

    Args:
        shares: the shares of train, val and test, such as ``[0.8, 0.1, 0.1]``. Splits are then
            drawn, and a column of splits is not read.
        split_by: a column such as the patient or the person. Rows with equal cells are drawn into
            one split. A row with an empty cell is drawn alone.
        split_seed: another seed draws other splits.
        holdout: the share of the training rows that becomes the validation split if the data has
            none. With 0, data without validation rows is an error.
        missing: "refuse" makes a row without a picture file or a class an error. "leave_out" leaves
            such rows out, and a line says how many rows of each split these are. Only the class
            counts if images are no files of their own, as in shards.

    Raises:
        ValueError: ``shares`` are not three numbers from 0 that sum to 1, the share of train is 0,
            ``holdout`` is outside [0, 1), or ``missing`` has another value.
    """

    shares: list[float] | None = None
    split_by: str | None = None
    split_seed: int = 0
    holdout: float = 0.1
    missing: str = REFUSE

    def __post_init__(self) -> None:
        check_between("[0, 1)", {"data.holdout": self.holdout})
        check_one_of((REFUSE, LEAVE_OUT), {"data.missing": self.missing})
        if self.shares is not None:
            _check_shares(self.shares)

    @property
    def columns(self) -> list[str]:
        """The columns that these rules read."""
        return [] if self.split_by is None else [self.split_by]


@dataclass(frozen=True, kw_only=True)
class RowRules(SplitRules):
    """How the rows of a table become classes, bias values and splits; used as ``SplitRules``.

    Args:
        values: other names for the cells of a column. ``{column: {cell: name}}`` renames cells, and
            keeps those that are not listed. ``White*`` means all that begin with "White" and are
            not listed, and ``*`` all that are not listed. A row whose name is ``null`` is left out.
            ``{column: [names]}`` numbers the names in this order, and names the integers from 0.
            ``{column: first}`` changes no names. In all three forms, a cell that is a list in JSON
            counts as its first entry.
        bins: columns of numbers that become names. ``{column: [0, 30, 60]}`` gives "0-29", "30-59"
            and "60+", numbered in this order. A missing number is an unknown value. So is -1, if it
            is below the first edge.

    Raises:
        ValueError: as in ``SplitRules``, or ``bins`` are not increasing.
    """

    values: dict[str, Any] | None = None
    bins: dict[str, list[float]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for column, edges in (self.bins or {}).items():
            _check_edges(column, edges)

    @property
    def columns(self) -> list[str]:
        """The columns that these rules read."""
        return [*(self.values or {}), *(self.bins or {}), *super().columns]


def _check_shares(shares: Sequence[float]) -> None:
    valid = len(shares) == 3 and min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6
    if not valid or shares[0] == 0:
        raise InputError(
            "data.shares must be the shares of train, val and test, which sum to 1, as in "
            f"[0.8, 0.1, 0.1]; got {list(shares)}"
        )


def _check_edges(column: str, edges: Sequence[float]) -> None:
    if not edges or any(high <= low for low, high in pairwise(edges)):
        raise InputError(
            f"data.bins.{column} must be increasing numbers, as in [0, 30, 60]; got {list(edges)}"
        )


#: The defaults of readers: cells are names or numbers as they are, and splits are given.
GIVEN_SPLITS = SplitRules()
NO_RULES = RowRules()
