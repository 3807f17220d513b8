"""One step of many linear heads at once: two matrix products serve them all."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.heads.linear import Heads


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
        for field in fields(self):
            value = torch.as_tensor(getattr(self, field.name))
            positive = field.name in ("learning_rate", "clip")
            if not bool((value > 0).all() if positive else (value >= 0).all()):
                raise InputError(
                    f"{field.name} must be {'positive' if positive else 'at least 0'}; got "
                    f"{value.tolist()}"
                )
        if not bool((torch.as_tensor(self.momentum) < 1).all()):
            raise InputError(
                f"momentum must be below 1, or heads never come to rest; got {self.momentum}"
            )


class Settings(NamedTuple):
    """The settings of a :class:`Descent` as tensors, ``(1, 1)`` or ``(H, 1)``."""

    learning_rate: Tensor
    momentum: Tensor
    start_penalty: Tensor
    weight_decay: Tensor
    clip: Tensor


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
    has no gradient. Heads are therefore kept in orthonormal coordinates of the classes of which
    that mean is the last, left out: C - 1 rows a head, and for two classes half the work. Descent,
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
        weights = (
            torch.ones(1, len(features))
            if sample_weights is None
            else sample_weights.reshape(-1, len(features))
        )
        values = [
            torch.as_tensor(getattr(descent, field.name), dtype=like.dtype).reshape(-1, 1)
            for field in fields(descent)
        ]
        self.settings = Settings(*(value.to(like) for value in values))
        self.uses_momentum, self.decays = bool((values[1] > 0).any()), bool((values[3] > 0).any())
        self.is_pulled, self.clips = bool((values[2] > 0).any()), bool(values[4].isfinite().any())
        self.basis = contrasts(start.weights.shape[1]).to(like)
        self.data = Data(
            with_ones(features.to(like)), self.basis[target].T.contiguous(), weights.to(like)
        )
        self.count = _one_count(len(start.weights), len(weights), *(len(value) for value in values))
        joined = torch.cat([start.weights, start.biases[..., None]], dim=2).to(like)
        self.start = joined.expand(self.count, -1, -1)
        self.origin = torch.einsum("ck,hcd->khd", self.basis, self.start).contiguous()
        self.position = self.origin.clone()
        self.velocity = torch.zeros_like(self.position)

    def step(self, rows: Tensor | None) -> None:
        """Move every head on the mean loss of the samples at these rows, or of all."""
        settings = self.settings
        gradient = self._gradient(self.data if rows is None else self.data.take(rows))
        if self.is_pulled:
            gradient.addcmul_(self.position - self.origin, 2 * settings.start_penalty)
        if self.decays:
            gradient.addcmul_(self.position, settings.weight_decay)
        if self.clips:
            # 1e-6 as in clip_grad_norm_
            norm = torch.linalg.vector_norm(gradient, dim=(0, 2))[:, None]
            gradient.mul_((settings.clip / (norm + 1e-6)).clamp(max=1.0))
        if self.uses_momentum:
            gradient = self.velocity.mul_(settings.momentum).add_(gradient)
        self.position.addcmul_(gradient, settings.learning_rate, value=-1)

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
        logits: Tensor = torch.tensordot(
            self.basis, product.view(*self.position.shape[:2], -1), dims=1
        )
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
    """``(C, C - 1)`` float64 orthonormal columns, each of which sums to zero."""
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
