"""What strategies against contextual bias share: pairs by name, their counts, and the mean loss."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from debias.errors import InputError, near
from debias.losses.contexts import cooccurring_entries, exclusive_entries
from debias.strategies.objectives import weighted
from debias.types import Batch, ContextPair, Groups


class Counts(NamedTuple):
    """Training images of a pair: with label and context, with the label alone, and the others."""

    cooccurring: int
    exclusive: int
    other: int


def named_pairs(
    groups: Groups, pairs: Sequence[Sequence[str]] | None, *, of: str
) -> tuple[ContextPair, ...]:
    """The pairs of label and context, by their names.

    Args:
        groups: the groups of the data, with several labels.
        pairs: names [label, context] of each pair, or ``None`` for the contexts of the data set.
        of: name of the strategy, for messages.

    Raises:
        ValueError: a pair does not have two different labels, or there is no pair.
    """
    if not pairs:
        if groups.contexts:
            return groups.contexts
        raise InputError(
            f"{of} needs pairs of a label and its usual context, and the data set defines none: "
            "set strategy.pairs=[[label, context]], or recipe.name=contextual, which finds them"
        )
    names = groups.label_names
    for pair in pairs:
        for name in pair:
            if name not in names:
                raise InputError(f"strategy.pairs names {name!r}; {near(name, names)}")
        if len(pair) != 2 or pair[0] == pair[1]:
            raise InputError(
                f"strategy.pairs must hold pairs [label, context] of two labels; got {list(pair)}"
            )
    return tuple(ContextPair(names.index(label), names.index(beside)) for label, beside in pairs)


def counts_of(row: Tensor, pairs: Sequence[ContextPair]) -> list[Counts]:
    """The training images of each pair.

    Args:
        row: ``(M, L)`` int64 target row of each label of each training image.
        pairs: the pairs.
    """
    labels = row % 2
    together = cooccurring_entries(labels, pairs).sum(dim=0).tolist()
    alone = exclusive_entries(labels, pairs).sum(dim=0).tolist()
    return [
        Counts(both, only, len(row) - both - only)
        for both, only in zip(together, alone, strict=True)
    ]


def mean_of_entries(losses: Tensor, batch: Batch) -> Tensor:
    """Mean of ``(N, L)`` losses over labels and images, times the sample weights if there are."""
    return weighted(losses.mean(dim=1), batch).mean()
