"""Fit ensembles of prototypes on fixed features (DPE): the runs together, the members in turn."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import check_at_least
from debias.heads.linear import Rows, check_descent, worst_group_accuracies
from debias.heads.orders import balanced_subsample
from debias.losses.prototypes import isomax_losses, prototype_similarity
from debias.models.last_layers import PrototypeEnsemble, centred_directions, prototype_logits
from debias.progress import each


@dataclass(frozen=True)
class PrototypeDescent:
    """Settings of the descent of prototypes: each is a number, or ``(H,)`` with one per ensemble.

    Args:
        learning_rate: positive.
        momentum: in [0, 1).
        entropic_scale: E > 0 of :func:`debias.losses.prototypes.isomax_losses`.
        norm_penalty: weight of the mean squared norm of the prototypes, not negative.
        diversity: weight of :func:`debias.losses.prototypes.prototype_similarity`, not negative.

    Raises:
        ValueError: ``learning_rate`` or ``entropic_scale`` is not positive, ``momentum`` is outside
            [0, 1), or ``norm_penalty`` or ``diversity`` is negative.
    """

    learning_rate: float | Tensor = 1e-3
    momentum: float | Tensor = 0.9
    entropic_scale: float | Tensor = 10.0
    norm_penalty: float | Tensor = 10.0
    diversity: float | Tensor = 1e5

    def __post_init__(self) -> None:
        check_descent(vars(self), positive=("learning_rate", "entropic_scale"))

    @property
    def ensembles(self) -> int:
        """H, the number of ensembles that the settings are for."""
        return max(torch.as_tensor(getattr(self, one.name)).numel() for one in fields(self))


class FittedPrototypes(NamedTuple):
    """H ensembles of T members.

    Attributes:
        prototypes: ``(H, T, C, D)`` float.
        scales: ``(H, T)`` float.
        scores: ``(H, T)`` float64 worst-group accuracy of a member on the held-out rows at its
            epoch; NaN without held-out rows.
        epochs: ``(H, T)`` int64 epoch of each member, counted from 1.
    """

    prototypes: Tensor
    scales: Tensor
    scores: Tensor
    epochs: Tensor

    def head(self, ensemble: int) -> PrototypeEnsemble:
        """Copy one of the ensembles into a new last layer."""
        return PrototypeEnsemble(self.prototypes[ensemble].clone(), self.scales[ensemble].clone())


def fit_prototypes(
    fitting: Rows,
    generator: torch.Generator,
    *,
    classes: int,
    descent: PrototypeDescent | None = None,
    held_out: Rows | None = None,
    members: int = 15,
    epochs: int = 20,
    batch_size: int = 128,
) -> FittedPrototypes:
    r"""DPE: fit ensembles of heads of prototypes, each member unlike the earlier ones.

    .. math:: L^t = \frac{1}{B} \sum_i -\log \mathrm{softmax}(E f^t(z_i))_{y_i}
              + \frac{\lambda}{C} \sum_k \|p_k^t\|^2 + c\, S(p^t; p^1, \ldots, p^{t-1})

    f are the :func:`debias.models.last_layers.prototype_logits` of features less their own mean. S
    is :func:`debias.losses.prototypes.prototype_similarity`; the first member has none. Each member
    starts from new prototypes and sees another balanced subsample of the rows. A class or group has
    as many of its rows as the rarest one. An epoch visits the subsample in shuffled batches, and
    drops the last incomplete one.

    Source: To et al., "Diverse Prototypical Ensembles Improve Robustness to Subpopulation Shift",
    ICML 2025; reference code minhto2802/dpe4subpop. Defaults are those of its script for
    Waterbirds. Its package has E = 30, c = 50,000, batches of 256, and a c that falls from member
    to member. Its README has E = 20.

    Args:
        fitting: rows with features computed in evaluation mode, classes, and the labels to balance
            (groups or classes) as groups. Rows of group -1 are left out.
        generator: source of the subsamples, the starts and the order of the rows. All H ensembles
            share subsamples and batches.
        classes: number of classes C.
        descent: settings of the descent; a setting of shape ``(H,)`` makes H ensembles.
        held_out: rows whose worst-group accuracy selects the epoch of each member, the latest of
            equal ones; without them the last. The reference gives all validation rows, on which it
            also fits.
        members: T, at least 1.
        epochs: epochs of a member, at least 1.
        batch_size: rows per step, at least 1; all rows if there are fewer.

    Returns:
        H ensembles of T members.

    Raises:
        ValueError: ``members``, ``epochs`` or ``batch_size`` is below 1, or no row has a label.

    Differs from the reference: features are not divided by their standard deviation, which
    does not change any result.
    """
    check_at_least(1, {"members": members, "epochs": epochs, "batch_size": batch_size}, of="DPE")
    descent = descent or PrototypeDescent()
    features = fitting.features
    like = features.new_empty(0, dtype=torch.promote_types(features.dtype, torch.float32))
    with torch.autocast(features.device.type, enabled=False):
        fitting = _on_the_sphere(fitting, like)
        judging = None if held_out is None else _on_the_sphere(held_out, like)
        earlier = like.new_zeros(descent.ensembles, classes, features.shape[1])
        fitted: list[FittedPrototypes] = []
        for _ in each(range(members), "fitting prototypes", "member", bar=False):
            drawn = fitting.take(balanced_subsample(fitting.group, generator))
            start = 0.01 * torch.randn(earlier.shape, generator=generator, dtype=like.dtype)
            heads = _DescendingPrototypes(start.to(like), descent, earlier, len(fitted) + 1)
            fitted.append(_fit_member(heads, drawn, generator, judging, epochs, batch_size))
            earlier = earlier + fitted[-1].prototypes[:, 0]
    return FittedPrototypes(*(torch.cat(values, dim=1) for values in zip(*fitted, strict=True)))


def _on_the_sphere(rows: Rows, like: Tensor) -> Rows:
    return rows._replace(features=centred_directions(rows.features.to(like)))


def _fit_member(
    heads: "_DescendingPrototypes",
    drawn: Rows,
    generator: torch.Generator,
    held_out: Rows | None,
    epochs: int,
    batch_size: int,
) -> FittedPrototypes:
    """The next member of every ensemble, each at its best epoch."""
    best = heads.member(heads.scores(None), 0)
    for epoch in range(1, epochs + 1):
        for rows in epoch_batches(len(drawn.target), batch_size, generator):
            heads.step(drawn.features[rows], drawn.target[rows])
        scores = heads.scores(held_out)
        better = ~(scores < best.scores[:, 0])  # also where there is no score yet
        best = FittedPrototypes(
            *(
                torch.where(better.view(-1, *[1] * (new.ndim - 1)), new, old)
                for new, old in zip(heads.member(scores, epoch), best, strict=True)
            )
        )
    return best


def epoch_batches(rows: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """``(steps, B)`` int64: shuffled rows in whole batches, or all in one if there are too few."""
    size = min(batch_size, rows)
    order = torch.randperm(rows, generator=generator)
    return order[: rows // size * size].view(-1, size)


class _DescendingPrototypes:
    """The next member of H ensembles during gradient descent with momentum."""

    def __init__(
        self, start: Tensor, descent: PrototypeDescent, earlier: Tensor, number: int
    ) -> None:
        self.count, self.earlier, self.number = len(start), earlier, number
        self.prototypes, self.scales = start, start.new_ones(len(start))
        self.velocities = [torch.zeros_like(start), torch.zeros_like(self.scales)]
        self.rate, self.momentum, self.entropic_scale, self.norm_penalty, self.diversity = (
            torch.as_tensor(getattr(descent, one.name), dtype=start.dtype).to(start)
            for one in fields(descent)
        )

    def step(self, directions: Tensor, target: Tensor) -> None:
        """Update every head once on ``(B, D)`` unit vectors and their ``(B,)`` classes."""
        with torch.enable_grad():
            tensors = [one.detach().requires_grad_() for one in (self.prototypes, self.scales)]
            losses = self._losses(tensors[0], tensors[1], directions, target)
            gradients = torch.autograd.grad(losses.sum(), tensors)
        for velocity, gradient in zip(self.velocities, gradients, strict=True):
            shape = (-1, *[1] * (gradient.ndim - 1))
            velocity.mul_(self.momentum.view(shape)).add_(gradient)
        self.prototypes = self.prototypes - self.rate.view(-1, 1, 1) * self.velocities[0]
        self.scales = self.scales - self.rate * self.velocities[1]

    def _losses(
        self, prototypes: Tensor, scales: Tensor, directions: Tensor, target: Tensor
    ) -> Tensor:
        """``(H,)``: the loss of each head."""
        logits = prototype_logits(directions, prototypes, scales)
        losses = isomax_losses(logits, target, entropic_scale=self.entropic_scale).mean(dim=1)
        norms = prototypes.square().sum(dim=2).mean(dim=1)
        likeness = prototype_similarity(prototypes, self.earlier, members=self.number)
        return losses + self.norm_penalty * norms + self.diversity * likeness

    def scores(self, held_out: Rows | None) -> Tensor:
        """``(H,)`` float64 worst-group accuracies; NaN without rows."""
        if held_out is None:
            return self.scales.new_full((self.count,), torch.nan, dtype=torch.float64)
        logits = prototype_logits(held_out.features, self.prototypes, self.scales)
        return worst_group_accuracies(logits.argmax(dim=2), held_out.target, held_out.group)

    def member(self, scores: Tensor, epoch: int) -> FittedPrototypes:
        """The heads after an epoch with these scores, as ensembles of one member."""
        epochs = torch.full((self.count, 1), epoch)
        return FittedPrototypes(
            self.prototypes[:, None], self.scales[:, None], scores[:, None], epochs
        )
