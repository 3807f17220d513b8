"""Which rows a head is fitted on: minibatches, balanced draws, balanced subsamples, halves."""

import torch
from torch import Tensor

from debias.errors import InputError


def shuffled_order(rows: int, *, batch_size: int, steps: int, generator: torch.Generator) -> Tensor:
    """``(steps, batch_size)`` int64: permutations of all rows one after another, cut into batches.

    Raises:
        ValueError: a size is below 1.
    """
    needed = _needed(rows, batch_size, steps)
    passes = [torch.randperm(rows, generator=generator) for _ in range(-(-needed // rows))]
    return torch.cat(passes)[:needed].view(steps, batch_size)


def balanced_order(
    label: Tensor, *, batch_size: int, steps: int, generator: torch.Generator
) -> Tensor:
    r"""``(steps, batch_size)`` draws with replacement, every label that occurs equally likely.

    .. math:: P(i) \propto 1 / n_{l_i}

    Args:
        label: ``(N,)`` int64 class or group, -1 is never drawn.
        batch_size: rows of a step.
        steps: how many steps.
        generator: what the rows are drawn from.

    Raises:
        ValueError: no row has a label, or a size is below 1.
    """
    needed = _needed(len(label), batch_size, steps)
    chances = torch.where(label < 0, 0.0, 1 / _counts(label)[label].double()).cpu()
    drawn = torch.multinomial(chances, needed, replacement=True, generator=generator)
    return drawn.view(steps, batch_size)


def balanced_subsample(label: Tensor, generator: torch.Generator) -> Tensor:
    """``(K,)`` int64 rows without repetition, as many of every label that occurs as the rarest has.

    Args:
        label: ``(N,)`` int64 class or group, -1 is left out.
        generator: what the rows are drawn from.

    Raises:
        ValueError: no row has a label.
    """
    counts = _counts(label)
    rows = _by_label(label, generator)
    starts, present = counts.cumsum(0) - counts, counts > 0
    chosen = starts[present][:, None] + torch.arange(int(counts[present].min()))
    return rows[chosen.flatten()]


def halves(label: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The labelled rows in two parts, each label with half of its rows in either; of an odd one the
    first has one more.

    Args:
        label: ``(N,)`` int64 class or group, -1 is left out.
        generator: what the halves are drawn from.

    Raises:
        ValueError: a label has only one row, and would be missing from a half.
    """
    counts = _counts(label)
    if bool((counts == 1).any()):
        raise InputError(
            f"group {int((counts == 1).nonzero()[0])} has one row, which cannot be in both halves: "
            "give the split another of it"
        )
    rows = _by_label(label, generator)
    place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[label.cpu()[rows]]
    return rows[place % 2 == 0], rows[place % 2 == 1]


def _by_label(label: Tensor, generator: torch.Generator) -> Tensor:
    """Labelled rows in random order within each label, labels in order."""
    label = label.cpu()
    rows = torch.randperm(len(label), generator=generator)
    rows = rows[label[rows] >= 0]
    return rows[torch.argsort(label[rows], stable=True)]


def _counts(label: Tensor) -> Tensor:
    known = label[label >= 0].cpu()
    if len(known) == 0:
        raise InputError(
            f"none of {len(label)} rows has a label to balance: label them, or balance classes"
        )
    return torch.bincount(known)


def _needed(rows: int, batch_size: int, steps: int) -> int:
    if min(rows, batch_size, steps) < 1:
        raise InputError(
            f"an order needs at least 1 row, batch_size and steps; got {rows}, {batch_size} and "
            f"{steps}"
        )
    return batch_size * steps
