"""Fit many linear heads at once by gradient descent, with two matrix products per step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError, check_at_least
from debias.heads.linear import (
    FittedHeads,
    Heads,
    Rows,
    check_descent,
    worst_group_accuracies,
)
from debias.progress import each


@dataclass(frozen=True)
class Descent:
    r"""Settings of gradient descent with momentum: each is a number, or ``(H,)`` with one per head.

    .. math:: v \leftarrow \mu v
              + \mathrm{clip}\big(\nabla L + 2\lambda (W - W_0) + \kappa W\big), \qquad
              W \leftarrow W - \eta v

    This equals ``torch.optim.SGD`` after ``clip_grad_norm_``. W holds the weights and the bias of a
    head, and :math:`W_0` is its start. Clipping uses the norm over weights and bias together, and
    the penalties act on both.

    Args:
        learning_rate: :math:`\eta > 0`.
        momentum: :math:`\mu` in [0, 1).
        start_penalty: :math:`\lambda \ge 0` of the penalty :math:`\lambda \|W - W_0\|^2`, which
            pulls the head towards its start.
        weight_decay: :math:`\kappa \ge 0`, which pulls the head towards zero.
        clip: largest norm of a gradient, positive.

    Raises:
        ValueError: ``learning_rate`` or ``clip`` is not positive, ``momentum`` is outside [0, 1),
            or ``start_penalty`` or ``weight_decay`` is negative.
    """

    learning_rate: float | Tensor
    momentum: float | Tensor = 0.0
    start_penalty: float | Tensor = 0.0
    weight_decay: float | Tensor = 0.0
    clip: float | Tensor = math.inf

    def __post_init__(self) -> None:
        check_descent(vars(self), positive=("learning_rate", "clip"))


def fit_heads(
    features: Tensor,
    target: Tensor,
    start: Heads,
    *,
    descent: Descent,
    batches: Sequence[Tensor | None] | Tensor,
    sample_weights: Tensor | None = None,
    held_out: Rows | None = None,
    every: int = 1,
) -> FittedHeads:
    r"""Fit H heads at once by gradient descent, on minibatches that all heads share or on all rows.

    .. math:: L_h = \frac{1}{B} \sum_{i \in \text{batch}} w_{hi}\, \mathrm{CE}(W_h z_i + b_h, y_i)

    Each head can have its own start, settings and sample weights :math:`w_h`. A weight of 0 leaves
    a sample out. Weights of inverse group frequency replace balanced draws. To give heads different
    batches, fit them in separate calls.

    The result equals fitting each head alone, up to rounding, with one exception. The mean of a
    head over its classes keeps its start value, where weight decay would shrink it. No prediction
    depends on this mean.

    Args:
        features: ``(N, D)`` float. Computed in float32 at least, without autocast.
        target: ``(N,)`` int64 class index in [0, C).
        start: heads to start from: H, or a single one for all.
        descent: settings of the descent. A setting of shape ``(H,)`` makes H heads.
        batches: ``(steps, B)`` int64 rows of each step, or ``[None] * steps`` to use all rows in
            each step. At least one step.
        sample_weights: ``(N,)`` or ``(H, N)``, not negative. A mean of one keeps the scale of the
            learning rate.
        held_out: rows whose worst-group accuracy selects the step of each head, the earliest of
            equal ones. Without them, the last step is used.
        every: number of steps between two scorings of the heads; the last step is always scored.

    Returns:
        The H heads, with the score and the step of each.

    Raises:
        ValueError: shapes do not agree, there are fewer than two classes, a target is outside
            [0, C), a weight is negative, or ``every`` or the number of steps is below 1.
    """
    check_at_least(1, {"steps": len(batches), "every": every}, of="fits of heads")
    if sample_weights is not None and sample_weights.ndim == 2 and isinstance(batches, Tensor):
        # batches read all weights of a sample, so these lie together in memory
        sample_weights = sample_weights.T.contiguous().T
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        heads = DescendingHeads(features, target, start, descent, sample_weights)
        best = None if held_out is None else _BestPosition(heads, held_out)
        for step, rows in enumerate(each(batches, "fitting last layers", "step", bar=False), 1):
            heads.step(rows)
            if best is not None and (step % every == 0 or step == len(batches)):
                best.update(step)
        if best is None:
            no_scores = torch.full((heads.count,), torch.nan, dtype=torch.float64)
            last = torch.full((heads.count,), len(batches))
            return FittedHeads(heads.heads(heads.position), no_scores, last)
        return FittedHeads(heads.heads(best.position), best.scores.cpu(), best.steps.cpu())


class _BestPosition:
    """The best position of each head so far, by worst-group accuracy on the held-out rows."""

    def __init__(self, heads: DescendingHeads, held_out: Rows) -> None:
        self.heads, self.held_out = heads, held_out
        self.inputs = with_ones(held_out.features.to(heads.origin))
        self.position = heads.position.clone()
        self.scores = heads.position.new_full((heads.count,), -torch.inf, dtype=torch.float64)
        self.steps = torch.zeros_like(self.scores, dtype=torch.int64)

    def update(self, step: int) -> None:
        """Score the heads after this step, and store those that are better than before."""
        scores = worst_group_accuracies(
            self.heads.predictions(self.inputs), self.held_out.target, self.held_out.group
        )
        better = scores > self.scores
        self.position[:, better] = self.heads.position[:, better]
        self.scores = torch.where(better, scores, self.scores)
        self.steps = torch.where(better, step, self.steps)


class WeightedSamples(NamedTuple):
    """Samples that heads are fitted on.

    Attributes:
        inputs: ``(N, D + 1)`` features and a column of ones.
        targets: ``(C - 1, N)`` classes in the coordinates of :func:`contrasts`.
        weights: ``(1, N)`` for all heads, or ``(H, N)``.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor

    def take(self, rows: Tensor) -> WeightedSamples:
        """The samples at ``(B,)`` int64 rows."""
        return WeightedSamples(self.inputs[rows], self.targets[:, rows], self.weights.T[rows].T)


class DescendingHeads:
    """H heads during gradient descent, stored as contrasts between the classes.

    The residuals of a softmax sum to zero over the classes, so the mean of a head over its classes
    has no gradient. Heads are therefore stored in orthonormal coordinates of the classes, without
    the coordinate of that mean. A head has C - 1 rows: for two classes this halves the work.
    Descent, momentum, penalties and norms are the same in all orthonormal coordinates.

    Args:
        features: ``(N, D)`` float. Computed in float32 at least.
        target: ``(N,)`` int64 in [0, C).
        start: heads to start from: H, or a single one for all.
        descent: settings of the descent.
        sample_weights: ``(N,)`` or ``(H, N)``, not negative, or ``None`` for ones.

    Raises:
        ValueError: shapes do not agree, there are fewer than two classes, a target is outside
            [0, C), or a weight is negative.
    """

    def __init__(
        self,
        features: Tensor,
        target: Tensor,
        start: Heads,
        descent: Descent,
        sample_weights: Tensor | None,
    ) -> None:
        _check(features, target, start, sample_weights)
        like = features.new_empty(0, dtype=torch.promote_types(features.dtype, torch.float32))
        weights = torch.ones(len(features)) if sample_weights is None else sample_weights
        weights = weights.reshape(-1, len(features)).to(like)
        settings = [
            torch.as_tensor(getattr(descent, each.name), dtype=like.dtype).reshape(-1, 1)
            for each in fields(descent)
        ]
        rate, momentum, pull, decay, clip = (setting.to(like) for setting in settings)
        self.rate, self.clip = rate, clip if bool(clip.isfinite().any()) else None
        self.momentum, self.pull, self.decay = (
            setting if bool((setting > 0).any()) else None for setting in (momentum, pull, decay)
        )
        self.basis = contrasts(start.weights.shape[1]).to(like)
        inputs, targets = with_ones(features.to(like)), self.basis[target].T.contiguous()
        self.samples = WeightedSamples(inputs, targets, weights)
        self.count = _one_count(len(start.weights), len(weights), *map(len, settings))
        joined = torch.cat([start.weights, start.biases[..., None]], dim=2).to(like)
        self.start = joined.expand(self.count, -1, -1)
        self.origin = torch.einsum("ck,hcd->khd", self.basis, self.start).contiguous()
        self.position = self.origin.clone()
        self.velocity = torch.zeros_like(self.position)

    def step(self, rows: Tensor | None) -> None:
        """Update every head once, on the samples at ``(B,)`` int64 rows; ``None`` means all."""
        gradient = self._gradient(self.samples if rows is None else self.samples.take(rows))
        if self.pull is not None:
            gradient.addcmul_(self.position - self.origin, 2 * self.pull)
        if self.decay is not None:
            gradient.addcmul_(self.position, self.decay)
        if self.clip is not None:
            # 1e-6 as in clip_grad_norm_
            norm = torch.linalg.vector_norm(gradient, dim=(0, 2))[:, None]
            gradient.mul_((self.clip / (norm + 1e-6)).clamp(max=1.0))
        if self.momentum is not None:
            gradient = self.velocity.mul_(self.momentum).add_(gradient)
        self.position.addcmul_(gradient, self.rate, value=-1)

    def predictions(self, inputs: Tensor) -> Tensor:
        """``(H, N)`` classes predicted for ``(N, D + 1)`` features with a column of ones."""
        return self._logits(inputs).argmax(dim=0)

    def heads(self, position: Tensor) -> Heads:
        """Heads at a position in contrasts; their mean over the classes is that of the start."""
        joined = self.start + torch.einsum("ck,khd->hcd", self.basis, position - self.origin)
        return Heads(joined[..., :-1].contiguous(), joined[..., -1].contiguous())

    def _logits(self, inputs: Tensor) -> Tensor:
        """``(C, H, N)`` logits, up to a constant per head and sample."""
        product = self.position.flatten(0, 1) @ inputs.T
        contrast = product.view(*self.position.shape[:2], -1)
        logits: Tensor = torch.tensordot(self.basis, contrast, dims=1)
        return logits

    def _gradient(self, samples: WeightedSamples) -> Tensor:
        probabilities = self._logits(samples.inputs).softmax(dim=0)
        residuals = torch.tensordot(self.basis.T, probabilities, dims=1)
        residuals.sub_(samples.targets[:, None]).mul_(samples.weights / len(samples.inputs))
        gradient: Tensor = residuals.flatten(0, 1) @ samples.inputs
        return gradient.view_as(self.position)


def with_ones(features: Tensor) -> Tensor:
    """``(N, D + 1)``: the ``(N, D)`` features and a column of ones, which the bias multiplies."""
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


def contrasts(classes: int) -> Tensor:
    """``(C, C - 1)`` float64: orthonormal contrasts between classes; each column sums to zero."""
    columns = torch.cat([torch.ones(classes, 1), torch.eye(classes)[:, :-1]], dim=1).double()
    orthonormal: Tensor = torch.linalg.qr(columns).Q
    return orthonormal[:, 1:]


def _check(features: Tensor, target: Tensor, start: Heads, sample_weights: Tensor | None) -> None:
    heads, classes, size = start.weights.shape
    if features.ndim != 2 or features.shape[1] != size or start.biases.shape != (heads, classes):
        raise InputError(
            "features, weights and biases must be (N, D), (H, C, D) and (H, C); got "
            f"{tuple(features.shape)}, {tuple(start.weights.shape)}, {tuple(start.biases.shape)}"
        )
    if target.shape != features.shape[:1] or classes < 2:
        raise InputError(
            "heads need one target per row and at least two classes; got targets of shape "
            f"{tuple(target.shape)} for {len(features)} rows and {classes} classes: train on a "
            "single target, not several labels"
        )
    if bool((target < 0).any()) or bool((target >= classes).any()):
        raise InputError(
            f"targets must lie in [0, {classes}); got {int(target.min())} to {int(target.max())}"
        )
    if sample_weights is not None and (
        sample_weights.shape[-1] != len(features) or bool((sample_weights < 0).any())
    ):
        raise InputError(
            f"sample_weights must be (N,) or (H, N), not negative, with N={len(features)}; got "
            f"{tuple(sample_weights.shape)} with minimum {float(sample_weights.min())}"
        )


def _one_count(*sizes: int) -> int:
    counts = {size for size in sizes if size != 1}
    if len(counts) > 1:
        raise InputError(
            "start, sample_weights and each setting must be for 1 head or for the same H; got "
            f"{sorted(counts)} heads"
        )
    return counts.pop() if counts else 1
