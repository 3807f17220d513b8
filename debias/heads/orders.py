"""Rows that heads are fitted on: minibatches, balanced draws, balanced subsamples, halves."""

import torch
from torch import Tensor

from debias.errors import InputError


def shuffled_order(rows: int, *, batch_size: int, steps: int, generator: torch.Generator) -> Tensor:
    """Minibatches of shuffled rows, ``(steps, batch_size)`` int64, cut from repeated permutations.

    Raises:
        ValueError: ``rows``, ``batch_size`` or ``steps`` is below 1.
    """
    needed = _needed(rows, batch_size, steps)
    passes = [torch.randperm(rows, generator=generator) for _ in range(-(-needed // rows))]
    return torch.cat(passes)[:needed].view(steps, batch_size)


def balanced_order(
    label: Tensor, *, batch_size: int, steps: int, generator: torch.Generator
) -> Tensor:
    r"""Minibatches of rows drawn with replacement, in which each present label is equally likely.

    .. math:: P(i) \propto 1 / n_{l_i}

    Args:
        label: ``(N,)`` int64 class or group; -1 is never drawn.
        batch_size: rows per step.
        steps: number of steps.
        generator: source of the random draws.

    Returns:
        ``(steps, batch_size)`` int64.

    Raises:
        ValueError: no row has a label, or ``batch_size`` or ``steps`` is below 1.
    """
    needed = _needed(len(label), batch_size, steps)
    chances = torch.where(label < 0, 0.0, 1 / _counts(label)[label].double()).cpu()
    drawn = torch.multinomial(chances, needed, replacement=True, generator=generator)
    return drawn.view(steps, batch_size)


def balanced_subsample(label: Tensor, generator: torch.Generator) -> Tensor:
    """``(K,)`` int64 rows without repetition: each present label has as many as the rarest one.

    Args:
        label: ``(N,)`` int64 class or group; -1 is left out.
        generator: source of the random draws.

    Raises:
        ValueError: no row has a label.
    """
    counts = _counts(label)
    rows = _by_label(label, generator)
    starts, present = counts.cumsum(0) - counts, counts > 0
    chosen = starts[present][:, None] + torch.arange(int(counts[present].min()))
    return rows[chosen.flatten()]


def halves(label: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Split the labelled rows at random into two halves, each with half of the rows of every label.

    If a label has an odd number of rows, the first half has one more.

    Args:
        label: ``(N,)`` int64 class or group; -1 is left out.
        generator: source of the random split.

    Raises:
        ValueError: a label has only one row, or no row has a label.
    """
    counts = _counts(label)
    if bool((counts == 1).any()):
        raise InputError(
            f"group {int((counts == 1).nonzero()[0])} has one row, which cannot be in both halves: "
            "add a row of this group"
        )
    rows = _by_label(label, generator)
    place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[label.cpu()[rows]]
    return rows[place % 2 == 0], rows[place % 2 == 1]


def _by_label(label: Tensor, generator: torch.Generator) -> Tensor:
    """Labelled rows, sorted by label, in random order within each label."""
    label = label.cpu()
    rows = torch.randperm(len(label), generator=generator)
    rows = rows[label[rows] >= 0]
    return rows[torch.argsort(label[rows], stable=True)]


def _counts(label: Tensor) -> Tensor:
    labels = label[label >= 0].cpu()
    if len(labels) == 0:
        raise InputError(
            f"none of {len(label)} rows has a label to balance: label them, or balance classes"
        )
    return torch.bincount(labels)


def _needed(rows: int, batch_size: int, steps: int) -> int:
    if min(rows, batch_size, steps) < 1:
        raise InputError(
            f"rows, batch_size and steps must be at least 1; got {rows}, {batch_size} and {steps}"
        )
    return batch_size * steps
