"""Group-robust sample reweighting (GSR): row weights that help the worst group, by influence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError, check_at_least, check_positive
from debias.group_inference.influence import class_curvature, hessian
from debias.heads.descent import contrasts, with_ones
from debias.heads.linear import Heads, Rows
from debias.progress import each

#: Newton steps of a fit end at this norm of the gradient; halvings of a step at most.
TOLERANCE, NEWTON_STEPS, HALVINGS = 1e-9, 50, 30
#: The step of the weights falls to a tenth after so many rounds.
FALLS_EVERY = 30


class ReweightedHeads(NamedTuple):
    """H heads, each from its best round.

    Attributes:
        heads: the H heads.
        scores: ``(H,)`` float64 worst-group accuracy on the judged rows in that round.
        rounds: ``(H,)`` int64 number of that round, from 1; the first has equal weights.
        weights: ``(H, N)`` float64 weights of the fitted rows in that round.
    """

    heads: Heads
    scores: Tensor
    rounds: Tensor
    weights: Tensor


def reweighted_heads(
    features: Tensor,
    target: Tensor,
    guiding: Rows,
    judged: Rows,
    *,
    classes: int,
    penalty: float | Tensor = 0.1,
    step: float | Tensor = 1.0,
    largest_step: float = 1.0,
    rounds: int = 100,
) -> ReweightedHeads:
    r"""GSR: weight rows of known class so that the head fitted to them is good for every group.

    .. math:: \theta(w) = \arg\min_\theta \sum_i w_i\, \mathrm{CE}_i(\theta)
              + \lambda \|\theta\|^2, \qquad
              s_i = \frac{1}{N} \Big(\sum_g a_g \nabla L_g\Big)^\top H^{-1}
              \big(\nabla \mathrm{CE}_i + 2 \lambda \theta\big)

    A round fits the head, then multiplies each group weight :math:`a_g` by the exponential of the
    error of the group on ``judged``. :math:`L_g` is the mean loss of group g of ``guiding``. The
    weights move by ``step`` times s, shortened to the norm ``largest_step``. They are then set to 0
    where they are negative, and scaled to sum to one. The step is divided by ten every 30 rounds.

    No group label of the fitted rows is read. The fit is Newton's method with the Hessian in closed
    form, in an orthonormal basis of the rows. That has at most N inputs, however many features
    there are; neither the fit nor s has a part outside it.

    Source: Qiao et al., "Group-robust Sample Reweighting for Subpopulation Shifts via Influence
    Functions", ICLR 2025; reference code qiaoruiyt/GSR. Defaults are its Waterbirds command.

    Args:
        features: ``(N, D)`` float, computed in evaluation mode, of rows that the backbone was not
            trained on.
        target: ``(N,)`` int64 class in [0, C).
        guiding: rows with groups, whose loss the weights lower. Group -1 leaves a row out.
        judged: other rows with groups, whose errors weight the groups and select the round.
        classes: number of classes C, at least 2.
        penalty: :math:`\lambda > 0`, a number or ``(H,)`` with one per head.
        step: positive, a number or ``(H,)``.
        largest_step: largest norm of a change of the weights, positive.
        rounds: number of fits, at least 1. The weights change after each but the last.

    Returns:
        H heads; the earliest of equal rounds.

    Raises:
        ValueError: ``penalty``, ``step`` or ``largest_step`` is not positive, ``rounds`` is below
            1, no guiding or judged row has a group, all weights become 0, or the Hessian does not
            fit into memory.

    Differs from the reference: Newton's method replaces L-BFGS. There, the temperature of the group
    weights cancels in their normalisation, and is left out here.
    """
    settings = {"penalty": penalty, "step": step, "largest_step": largest_step}
    check_positive(
        {name: float(torch.as_tensor(v).min()) for name, v in settings.items()}, of="GSR"
    )
    check_at_least(1, {"rounds": rounds}, of="GSR")
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        fits = WeightedFits(features, target, classes=classes, penalty=torch.as_tensor(penalty))
        groups = 1 + max(int(rows.group.max()) for rows in (guiding, judged))
        guide, judge = (_Groups(fits, rows, groups) for rows in (guiding, judged))
        rate = torch.as_tensor(step, dtype=torch.float64).to(fits.inputs).reshape(-1, 1)
        count = max(len(rate), len(fits.ridge))
        weights = fits.inputs.new_full((count, len(target)), 1 / len(target))
        position = fits.inputs.new_zeros(count, classes - 1, fits.inputs.shape[1])
        shares = fits.inputs.new_ones(count, judge.members.shape[1])
        best: ReweightedHeads | None = None
        for number in each(range(rounds), "reweighting rows", "round", bar=False):
            position = fits.fit(weights, position)
            errors = judge.errors(position)
            this_round = torch.full((count,), number + 1)
            scores = 1 - errors.amax(dim=1)
            new = ReweightedHeads(fits.heads(position), scores, this_round, weights)
            best = new if best is None else _better(best, new)
            shares = F.normalize(shares * errors.exp(), p=1, dim=1)
            moves = fits.influence(weights, position, guide.gradient(position, shares))
            moves *= (largest_step / (moves.norm(dim=1, keepdim=True) + 1e-9)).clamp(max=1.0)
            weights = _on_the_simplex(weights + rate * 0.1 ** (number // FALLS_EVERY) * moves)
    assert best is not None
    return best


def _better(best: ReweightedHeads, new: ReweightedHeads) -> ReweightedHeads:
    """For every head, the new round if its score is higher."""
    higher = new.scores > best.scores
    pairs = zip((*new.heads, *new[1:]), (*best.heads, *best[1:]), strict=True)
    weights, biases, *others = (
        torch.where(higher.view(-1, *[1] * (one.ndim - 1)), one, other) for one, other in pairs
    )
    return ReweightedHeads(Heads(weights, biases), *others)


def _on_the_simplex(weights: Tensor) -> Tensor:
    weights = weights.clamp(min=0)
    totals = weights.sum(dim=1, keepdim=True)
    if bool((totals <= 0).any()):
        raise InputError("GSR has set all weights to 0: lower its step, or raise its penalty")
    return weights / totals


class WeightedFits:
    r"""Fits of H heads to weighted rows, and the influence of the weights on a loss.

    .. math:: \theta(w) = \arg\min_\theta \sum_i w_i\, \mathrm{CE}_i(\theta)
              + \lambda \|\theta\|^2

    A position holds a head in two orthonormal bases: the contrasts of the classes, and a basis of
    the fitted rows. The rest of a head is 0 at the minimum.

    Args:
        features: ``(N, D)`` float. Computed in float64.
        target: ``(N,)`` int64 class in [0, C).
        classes: C, at least 2.
        penalty: ``(H,)`` float, :math:`\lambda > 0`.
    """

    def __init__(self, features: Tensor, target: Tensor, *, classes: int, penalty: Tensor) -> None:
        rows = with_ones(features.double())
        left, sizes, self.directions = torch.linalg.svd(rows, full_matrices=False)
        self.inputs = left * sizes
        self.basis = contrasts(classes).to(self.inputs)
        self.target = target
        self.ridge = 2 * penalty.to(self.inputs).reshape(-1)

    def coordinates(self, features: Tensor) -> Tensor:
        """``(N, R)`` inputs of other rows in the basis of the fitted ones."""
        inputs: Tensor = with_ones(features.double()) @ self.directions.T
        return inputs

    def probabilities(self, inputs: Tensor, position: Tensor) -> Tensor:
        """``(H, N, C)``."""
        return torch.einsum("ck,hkr,nr->hnc", self.basis, position, inputs).softmax(dim=2)

    def heads(self, position: Tensor) -> Heads:
        """The heads for features."""
        joined = torch.einsum("ck,hkr,rd->hcd", self.basis, position, self.directions)
        return Heads(joined[..., :-1].float().contiguous(), joined[..., -1].float().contiguous())

    def fit(self, weights: Tensor, position: Tensor) -> Tensor:
        """``(H, C - 1, R)`` minimum of every head's objective, by Newton's method."""
        for _ in range(NEWTON_STEPS):
            probabilities = self.probabilities(self.inputs, position)
            gradient = self._gradient(weights, position, probabilities)
            if float(gradient.flatten(1).norm(dim=1).max()) < TOLERANCE:
                break
            move = self._solve(weights, probabilities, gradient)
            position = self._descended(weights, position, gradient, move)
        return position

    def influence(self, weights: Tensor, position: Tensor, gradient: Tensor) -> Tensor:
        """``(H, N)``: how fast the loss with this gradient falls with the weight of each row."""
        probabilities = self.probabilities(self.inputs, position)
        solved = self._solve(weights, probabilities, gradient)
        residuals = probabilities @ self.basis - self.basis[self.target]
        own = torch.einsum("hnk,hkr,nr->hn", residuals, solved, self.inputs)
        shared = (position * solved).sum(dim=(1, 2)) * self.ridge
        return (own + shared[:, None]) / len(self.inputs)

    def _objective(self, weights: Tensor, position: Tensor) -> Tensor:
        probabilities = self.probabilities(self.inputs, position)
        chosen = probabilities.gather(2, self.target.expand(len(position), -1)[..., None])[..., 0]
        losses = -(weights * chosen.clamp(min=1e-300).log()).sum(dim=1)
        total: Tensor = losses + self.ridge / 2 * position.square().sum(dim=(1, 2))
        return total

    def _gradient(self, weights: Tensor, position: Tensor, probabilities: Tensor) -> Tensor:
        residuals = probabilities @ self.basis - self.basis[self.target]
        data = (weights[..., None] * residuals).transpose(1, 2) @ self.inputs
        total: Tensor = data + self.ridge[:, None, None] * position
        return total

    def _solve(self, weights: Tensor, probabilities: Tensor, gradient: Tensor) -> Tensor:
        curvature = class_curvature(probabilities, self.basis)
        matrix = hessian(self.inputs, curvature, weights, ridge=self.ridge.expand(len(gradient)))
        lower = torch.linalg.cholesky(matrix)
        return torch.cholesky_solve(gradient.flatten(1)[..., None], lower).view_as(gradient)

    def _descended(
        self, weights: Tensor, position: Tensor, gradient: Tensor, move: Tensor
    ) -> Tensor:
        """The position after a Newton step, halved until the objective is not higher."""
        before = self._objective(weights, position)
        expected = (gradient * move).sum(dim=(1, 2))
        size = torch.ones_like(before)
        for _ in range(HALVINGS):
            after = self._objective(weights, position - size[:, None, None] * move)
            enough = after <= before - 1e-4 * size * expected + 1e-14
            if bool(enough.all()):
                break
            size = torch.where(enough, size, size / 2)
        return position - size[:, None, None] * move


class _Groups:
    """Rows with groups, in the basis of the fitted rows."""

    def __init__(self, fits: WeightedFits, rows: Rows, groups: int) -> None:
        known = (rows.group >= 0).nonzero().flatten()
        if len(known) == 0:
            raise InputError("GSR needs rows with groups to guide and to judge: label some")
        self.fits, self.rows = fits, rows.take(known)
        self.inputs = fits.coordinates(self.rows.features)
        members = F.one_hot(self.rows.group, groups).to(self.inputs)
        self.members = members / members.sum(dim=0).clamp(min=1)

    def errors(self, position: Tensor) -> Tensor:
        """``(H, G)`` float64 error of each group, 0 if absent."""
        probabilities = self.fits.probabilities(self.inputs, position)
        wrong = (probabilities.argmax(dim=2) != self.rows.target).to(self.inputs)
        return wrong @ self.members

    def gradient(self, position: Tensor, shares: Tensor) -> Tensor:
        """``(H, C - 1, R)`` gradient of the groups' mean losses, weighted by ``(H, G)``."""
        probabilities = self.fits.probabilities(self.inputs, position)
        residuals = probabilities @ self.fits.basis - self.fits.basis[self.rows.target]
        weights = shares @ self.members.T
        return (weights[..., None] * residuals).transpose(1, 2) @ self.inputs
