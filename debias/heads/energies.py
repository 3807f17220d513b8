"""Fit additive energies on fixed features (CRM), many heads at once, and extrapolate the offset."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError, check_at_least, check_between, check_positive
from debias.losses.compositional import cell_logits, extrapolated_offsets, log_prior_of
from debias.models.last_layers import AdditiveEnergies, additive_energies
from debias.progress import each


class Energies(NamedTuple):
    """H heads of additive energies.

    Attributes:
        weights: ``(H, C + B, D)`` float: weights of the energy of each class, then of each bias.
        offsets: ``(H, C, B)`` float offset of each cell, a class and a bias value.
    """

    weights: Tensor
    offsets: Tensor

    def cells(self, features: Tensor) -> Tensor:
        """``(H, N, C, B)`` energies of ``(N, D)`` features."""
        return additive_energies(features, self.weights, self.offsets.shape[1])

    def head(self, head: int) -> AdditiveEnergies:
        """Copy one of the heads into a new last layer."""
        return AdditiveEnergies(*(value[head].clone() for value in self))


def fit_energies(
    features: Tensor,
    target: Tensor,
    bias: Tensor,
    *,
    start: Tensor,
    classes: int,
    batches: Tensor,
    learning_rate: float | Tensor = 0.01,
    weight_decay: float | Tensor = 0.0,
    momentum: float = 0.9,
) -> Energies:
    r"""CRM: fit energies of class and bias to the cells, and extrapolate the offset to all cells.

    .. math:: L = -\frac{1}{B} \sum_i \log \mathrm{softmax}
              \big(-E(x_i) - o + \log p\big)_{y_i b_i}, \qquad
              E(x)_{yb} = u_y^\top z + v_b^\top z

    The softmax goes over the cells that the rows have, and p are their shares. After the fit,
    :func:`debias.losses.compositional.extrapolated_offsets` replaces the learnt offset o. The head
    then predicts for equal shares of all cells, also of those without a row.

    Source: Mahajan et al., "Compositional Risk Minimization", ICML 2025; reference code
    facebookresearch/compositional-risk-minimization, read for its behaviour only (its licence does
    not permit copies). The learning rate is that of its quick run on features.

    Args:
        features: ``(N, D)`` float, computed in evaluation mode.
        target: ``(N,)`` int64 class.
        bias: ``(N,)`` int64 bias value; rows of -1 are left out of the fit and of the shares.
        start: ``(H, C + B, D)`` float weights to start from: H heads, or a single one for all.
        classes: C.
        batches: ``(steps, B)`` int64 rows of each step, of known bias. All heads share them.
        learning_rate, weight_decay: settings of the descent, a number or ``(H,)``.
        momentum: in [0, 1).

    Returns:
        H heads with extrapolated offsets.

    Raises:
        ValueError: a class or a bias value has no row of known bias, ``learning_rate`` is not
            positive, ``weight_decay`` is negative, ``momentum`` is outside [0, 1), or there is no
            step.

    Differs from the reference: cells without a row have no part in the softmax. There, they have a
    share of 1e-8. Several bias attributes count as one with all their combinations; there, each has
    an energy of its own.
    """
    _check_settings(learning_rate, weight_decay, momentum, len(batches))
    known = bias >= 0
    prior = checked_prior(target, bias, classes=classes, biases=start.shape[1] - classes)
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        like = start.new_empty(0, dtype=torch.promote_types(start.dtype, features.dtype))
        rate, decay = (
            torch.as_tensor(one, dtype=like.dtype).to(like).reshape(-1, 1, 1)
            for one in (learning_rate, weight_decay)
        )
        count = max(len(start), len(rate), len(decay))
        heads = _DescendingEnergies(start.to(like).expand(count, -1, -1), classes, prior.to(like))
        features, cell = features.to(like), prior.shape[1] * target + bias
        for rows in each(batches, "fitting energies", "step", bar=False):
            heads.step(features[rows], cell[rows], rate, decay, momentum)
        learnt = Energies(heads.weights, heads.offsets)
        offsets = extrapolated_offsets(learnt.cells(features[known]), learnt.offsets, heads.prior)
    return Energies(learnt.weights, offsets)


class _DescendingEnergies:
    """H heads during gradient descent with momentum, on their cross-entropy over the cells."""

    def __init__(self, start: Tensor, classes: int, prior: Tensor) -> None:
        self.prior = prior
        self.weights = start.clone()
        self.offsets = start.new_zeros(len(start), classes, start.shape[1] - classes)
        self.velocities = torch.zeros_like(self.weights), torch.zeros_like(self.offsets)

    def step(
        self, features: Tensor, cell: Tensor, rate: Tensor, decay: Tensor, momentum: float
    ) -> None:
        """Update every head once on ``(B, D)`` features and the ``(B,)`` cells of the rows."""
        classes, biases = self.prior.shape
        energies = additive_energies(features, self.weights, classes)
        logits = cell_logits(energies, self.offsets, self.prior)
        residuals = logits.flatten(2).softmax(dim=2) - F.one_hot(cell, classes * biases)
        residuals = residuals.view_as(logits) / len(features)
        sums = torch.cat([residuals.sum(dim=3), residuals.sum(dim=2)], dim=2)
        products = sums.transpose(1, 2).flatten(0, 1) @ features
        gradients = -products.view_as(self.weights), -residuals.sum(dim=1)
        for values, velocity, gradient in zip(
            (self.weights, self.offsets), self.velocities, gradients, strict=True
        ):
            velocity.mul_(momentum).add_(gradient).add_(decay * values)
            values.sub_(rate * velocity)


def _check_settings(
    learning_rate: float | Tensor, weight_decay: float | Tensor, momentum: float, steps: int
) -> None:
    check_positive({"learning_rate": float(torch.as_tensor(learning_rate).min())}, of="CRM")
    check_at_least(0, {"weight_decay": float(torch.as_tensor(weight_decay).min())}, of="CRM")
    check_between("[0, 1)", {"momentum": momentum}, of="CRM")
    check_at_least(1, {"steps": steps}, of="CRM")


def checked_prior(target: Tensor, bias: Tensor, *, classes: int, biases: int) -> Tensor:
    """``(C, B)`` log shares of the cells; refuses a class or a bias value without a row.

    Args:
        target: ``(N,)`` int64 class.
        bias: ``(N,)`` int64 bias value; rows of -1 are left out.
        classes: C.
        biases: B.

    Raises:
        ValueError: a class or a bias value has no row of known bias.
    """
    known = bias >= 0
    prior = log_prior_of(target[known], bias[known], classes=classes, biases=biases)
    seen = prior.isfinite()
    for what, dimension in (("class", 1), ("bias value", 0)):
        if absent := (~seen.any(dim=dimension)).nonzero().flatten().tolist():
            raise InputError(
                "CRM allows groups without a training image, but needs images of each class and "
                f"each bias value; got none of {what} {absent[0]}: add some, or leave it out"
            )
    return prior
