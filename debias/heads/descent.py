"""Fit many linear heads at once by gradient descent: two matrix products serve them all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError, check_at_least, check_between, check_positive
from debias.heads.linear import FittedHeads, Heads, Rows, worst_group_accuracies


@dataclass(frozen=True)
class Descent:
    r"""How heads descend: with momentum; each setting is a number or ``(H,)``, one per head.

    .. math:: v \leftarrow \mu v
              + \mathrm{clip}\big(\nabla L + 2\lambda (W - W_0) + \kappa W\big), \qquad
              W \leftarrow W - \eta v

    as in ``torch.optim.SGD`` after ``clip_grad_norm_``. The gradient of a head is clipped by its
    norm over weights and bias together, and the penalties act on both.

    Args:
        learning_rate: :math:`\eta > 0`.
        momentum: :math:`\mu` in [0, 1).
        start_penalty: :math:`\lambda \ge 0`, of :math:`\lambda \|W - W_0\|^2`, the pull towards
            where the head starts.
        weight_decay: :math:`\kappa \ge 0`, the pull towards zero.
        clip: greatest norm of a gradient, positive.

    Raises:
        ValueError: a setting is out of its range.
    """

    learning_rate: float | Tensor
    momentum: float | Tensor = 0.0
    start_penalty: float | Tensor = 0.0
    weight_decay: float | Tensor = 0.0
    clip: float | Tensor = math.inf

    def __post_init__(self) -> None:
        settings = {each.name: torch.as_tensor(getattr(self, each.name)) for each in fields(self)}
        least = {name: float(value.min()) for name, value in settings.items()}
        check_positive({name: least.pop(name) for name in ("learning_rate", "clip")})
        check_at_least(0, least)
        greatest = float(settings["momentum"].max())
        check_between("[0, 1)", {"momentum": greatest}, hint="heads never come to rest from 1 on")


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
    r"""Fit H heads on the weighted mean loss of minibatches that all of them share, or of all rows.

    .. math:: L_h = \frac{1}{B} \sum_{i \in \text{batch}} w_{hi}\, \mathrm{CE}(W_h z_i + b_h, y_i)

    What is a head's own is its start, its settings and the weights of its samples: a weight of 0
    leaves a sample out, and inverse group frequencies take the place of balanced draws. Heads that
    must see batches of their own are fitted by calls of their own.

    Each head ends where a loop over it alone ends, to rounding, but for one thing on which no
    prediction depends: the mean of a head over its classes stays as it starts, where weight decay
    would shrink it.

    Args:
        features: ``(N, D)`` float. Computed in float32 at least, without autocast.
        target: ``(N,)`` int64 class index in [0, C).
        start: the heads to start from; one starts them all.
        descent: how they descend; a setting per head makes H heads.
        batches: ``(steps, B)`` int64 rows of each step; or ``[None] * steps``, where every step
            takes all rows. At least one step.
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
    check_at_least(1, {"steps": len(batches), "every": every}, of="fits of heads")
    if sample_weights is not None and sample_weights.ndim == 2 and isinstance(batches, Tensor):
        # the weights of a sample lie together, as batches read them
        sample_weights = sample_weights.T.contiguous().T
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        heads = DescendingHeads(features, target, start, descent, sample_weights)
        kept = None if held_out is None else _Kept(heads, held_out)
        for step, rows in enumerate(batches, start=1):
            heads.step(rows)
            if kept is not None and (step % every == 0 or step == len(batches)):
                kept.offer(step)
        if kept is None:
            unknown = torch.full((heads.count,), torch.nan, dtype=torch.float64)
            last = torch.full((heads.count,), len(batches))
            return FittedHeads(heads.heads(heads.position), unknown, last)
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


class Data(NamedTuple):
    """``(N, D + 1)`` features beside a one; ``(C - 1, N)`` contrasts; ``(1 or H, N)`` weights."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor

    def take(self, rows: Tensor) -> Data:
        """The samples at ``(B,)`` int64 rows."""
        return Data(self.inputs[rows], self.targets[:, rows], self.weights.T[rows].T)


class DescendingHeads:
    """H heads, held as contrasts between the classes.

    The residuals of a softmax sum to zero over the classes, so the mean of a head over its classes
    has no gradient. Heads are therefore kept in orthonormal coordinates of the classes, without the
    coordinate of that mean. A head has C - 1 rows: for two classes this halves the work. Descent,
    momentum, penalties and norms are the same in all orthonormal coordinates.

    Args:
        features: ``(N, D)`` float; at least float32 is computed in.
        target: ``(N,)`` int64 in [0, C).
        start: the heads to start from; one starts them all.
        descent: how they descend.
        sample_weights: ``(N,)`` or ``(H, N)``, not negative, or ``None`` for ones.

    Raises:
        ValueError: shapes that do not agree.
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
        self.data = Data(inputs, targets, weights)
        self.count = _one_count(len(start.weights), len(weights), *map(len, settings))
        joined = torch.cat([start.weights, start.biases[..., None]], dim=2).to(like)
        self.start = joined.expand(self.count, -1, -1)
        self.origin = torch.einsum("ck,hcd->khd", self.basis, self.start).contiguous()
        self.position = self.origin.clone()
        self.velocity = torch.zeros_like(self.position)

    def step(self, rows: Tensor | None) -> None:
        """Move every head on the mean loss of the samples at these rows, or of all."""
        gradient = self._gradient(self.data if rows is None else self.data.take(rows))
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
        """``(H, N)`` classes that the heads choose for ``(N, D + 1)`` features beside a one."""
        return self._logits(inputs).argmax(dim=0)

    def heads(self, position: Tensor) -> Heads:
        """The heads at a position, their mean over the classes being that of the start."""
        joined = self.start + torch.einsum("ck,khd->hcd", self.basis, position - self.origin)
        return Heads(joined[..., :-1].contiguous(), joined[..., -1].contiguous())

    def _logits(self, inputs: Tensor) -> Tensor:
        """``(C, H, N)``, up to a constant for each head and sample."""
        product = self.position.flatten(0, 1) @ inputs.T
        contrast = product.view(*self.position.shape[:2], -1)
        logits: Tensor = torch.tensordot(self.basis, contrast, dims=1)
        return logits

    def _gradient(self, data: Data) -> Tensor:
        probabilities = self._logits(data.inputs).softmax(dim=0)
        residuals = torch.tensordot(self.basis.T, probabilities, dims=1)
        residuals.sub_(data.targets[:, None]).mul_(data.weights / len(data.inputs))
        gradient: Tensor = residuals.flatten(0, 1) @ data.inputs
        return gradient.view_as(self.position)


def with_ones(features: Tensor) -> Tensor:
    """``(N, D + 1)``: the features and a column of ones, whose weight is the bias."""
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


def contrasts(classes: int) -> Tensor:
    """``(C, C - 1)`` float64 orthonormal columns; each column sums to zero."""
    columns = torch.cat([torch.ones(classes, 1), torch.eye(classes)[:, :-1]], dim=1).double()
    orthonormal: Tensor = torch.linalg.qr(columns).Q
    return orthonormal[:, 1:]


def _check(features: Tensor, target: Tensor, start: Heads, sample_weights: Tensor | None) -> None:
    heads, classes, size = start.weights.shape
    if features.ndim != 2 or features.shape[1] != size or start.biases.shape != (heads, classes):
        raise InputError(
            f"features {tuple(features.shape)}, weights {tuple(start.weights.shape)} and biases "
            f"{tuple(start.biases.shape)} do not fit: they must be (N, D), (H, C, D) and (H, C)"
        )
    if target.shape != features.shape[:1] or classes < 2:
        raise InputError(
            f"heads tell {classes} classes apart by one target per row; got targets "
            f"{tuple(target.shape)} for {len(features)} rows: at least two classes, and none of "
            "several labels"
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
            f"{tuple(sample_weights.shape)}, least {float(sample_weights.min())}"
        )


def _one_count(*sizes: int) -> int:
    several = {size for size in sizes if size != 1}
    if len(several) > 1:
        raise InputError(
            f"start, sample weights and settings name {sorted(several)} heads: give each 1 or the "
            "same H"
        )
    return several.pop() if several else 1
