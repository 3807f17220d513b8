"""Fit many linear heads by gradient descent: on all rows each step, or on shared minibatches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.errors import InputError
from debias.heads.linear import FittedHeads, Heads, Rows, worst_group_accuracies
from debias.heads.steps import DescendingHeads, Descent, with_ones


def fit_full_batch(
    features: Tensor,
    target: Tensor,
    start: Heads,
    *,
    descent: Descent,
    steps: int,
    sample_weights: Tensor | None = None,
    held_out: Rows | None = None,
    every: int = 1,
) -> FittedHeads:
    r"""Fit H heads on the weighted mean loss of all rows at every step.

    .. math:: L_h = \frac{1}{N} \sum_i w_{hi}\, \mathrm{CE}(W_h z_i + b_h, y_i)

    Each head ends where a loop over it alone ends, to rounding, but for one thing on which no
    prediction depends: the mean of a head over its classes stays as it starts, where weight decay
    would shrink it.

    Args:
        features: ``(N, D)`` float. Computed in float32 at least, without autocast.
        target: ``(N,)`` int64 class index in [0, C).
        start: the heads to start from; one starts them all.
        descent: how they descend; a setting per head makes H heads.
        steps: how many steps, at least 1.
        sample_weights: ``(N,)`` or ``(H, N)``, not negative; a mean of one keeps the scale of the
            learning rate.
        held_out: rows by whose worst-group accuracy each head's step is chosen, of equal ones the
            earliest; without them the last step is kept.
        every: score the heads at every so many steps, and at the last.

    Returns:
        H heads, their scores and steps.

    Raises:
        ValueError: shapes that do not agree, or a number out of range.
    """
    return _fit(features, target, start, descent, sample_weights, [None] * steps, held_out, every)


def fit_minibatches(
    features: Tensor,
    target: Tensor,
    start: Heads,
    *,
    descent: Descent,
    order: Tensor,
    sample_weights: Tensor | None = None,
    held_out: Rows | None = None,
    every: int = 1,
) -> FittedHeads:
    r"""Fit H heads on minibatches that all of them share.

    .. math:: L_h = \frac{1}{B} \sum_{i \in \text{batch}} w_{hi}\, \mathrm{CE}(W_h z_i + b_h, y_i)

    What is a head's own is its start, its settings and the weights of its samples: a weight of 0
    leaves a sample out, and inverse group frequencies take the place of balanced draws. Heads that
    must see batches of their own are fitted by calls of their own.

    Args:
        features, target, start, descent, sample_weights, held_out, every: as in
            :func:`fit_full_batch`.
        order: ``(steps, B)`` int64 rows of each step.

    Returns:
        As :func:`fit_full_batch`.

    Raises:
        ValueError: as :func:`fit_full_batch`.
    """
    if sample_weights is not None and sample_weights.ndim == 2:
        # the weights of a sample lie together, as batches read them
        sample_weights = sample_weights.T.contiguous().T
    return _fit(features, target, start, descent, sample_weights, order, held_out, every)


def _fit(
    features: Tensor,
    target: Tensor,
    start: Heads,
    descent: Descent,
    sample_weights: Tensor | None,
    batches: Sequence[Tensor | None] | Tensor,
    held_out: Rows | None,
    every: int,
) -> FittedHeads:
    if len(batches) < 1 or every < 1:
        raise InputError(
            f"heads need at least one step, and every >= 1; got {len(batches)} steps and "
            f"every={every}"
        )
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        heads = DescendingHeads(features, target, start, descent, sample_weights)
        if held_out is None:
            for rows in batches:
                heads.step(rows)
            unknown = torch.full((heads.count,), torch.nan, dtype=torch.float64)
            return FittedHeads(
                heads.heads(heads.position), unknown, torch.full((heads.count,), len(batches))
            )
        kept = _Kept(heads, held_out)
        for step, rows in enumerate(batches, start=1):
            heads.step(rows)
            if step % every == 0 or step == len(batches):
                kept.offer(step)
        return FittedHeads(heads.heads(kept.position), kept.scores.cpu(), kept.steps.cpu())


class _Kept:
    """The best position of each head so far, by its worst group among the held-out rows."""

    def __init__(self, heads: DescendingHeads, held_out: Rows) -> None:
        self.heads, self.held_out = heads, held_out
        self.inputs = with_ones(held_out.features.to(heads.origin))
        self.position = heads.position.clone()
        self.scores = heads.position.new_full((heads.count,), -torch.inf, dtype=torch.float64)
        self.steps = torch.zeros_like(self.scores, dtype=torch.int64)

    def offer(self, step: int) -> None:
        """The heads as they are after this step."""
        scores = worst_group_accuracies(
            self.heads.predictions(self.inputs), self.held_out.target, self.held_out.group
        )
        better = scores > self.scores
        self.position[:, better] = self.heads.position[:, better]
        self.scores = torch.where(better, scores, self.scores)
        self.steps = torch.where(better, step, self.steps)
