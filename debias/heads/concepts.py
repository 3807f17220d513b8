"""Concept bottlenecks on fixed features (KnoBo): classifiers of concepts, and a head on them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import check_at_least, check_positive
from debias.heads.linear import Heads, Rows, fresh_heads, worst_group_accuracies
from debias.losses.weight_prior import weight_prior
from debias.progress import each

#: Share of the images of the rarer side of a concept that is held out, and the most of a side.
HELD_OUT, MOST_HELD_OUT = 0.1, 50
#: The most images of a side of a concept that its classifier is fitted on.
MOST_FITTED = 1000


class Grounding(NamedTuple):
    """The classifiers of those of C concepts that could be grounded.

    Attributes:
        weights: ``(G, D)`` float, for features divided by their norm.
        biases: ``(G,)`` float.
        used: ``(G,)`` int64 positions of these concepts among the C.
        accuracy: ``(C,)`` float64 accuracy on the held-out rows; NaN for the other concepts.
    """

    weights: Tensor
    biases: Tensor
    used: Tensor
    accuracy: Tensor

    def probabilities(self, features: Tensor) -> Tensor:
        """``(N, G)`` probabilities of the concepts, from ``(N, D)`` features."""
        return F.linear(F.normalize(features, dim=1), self.weights, self.biases).sigmoid()

    def spread(self, values: Tensor) -> Tensor:
        """``(C,)`` float64: ``(G,)`` values of the grounded concepts; NaN for the others."""
        every = torch.full_like(self.accuracy, torch.nan)
        every[self.used] = values.double()
        return every


class FittedBottleneck(NamedTuple):
    """The head on concepts after its best epoch.

    Attributes:
        head: from the concepts to the classes.
        score: worst-group accuracy on the held-out rows in that epoch; NaN without them.
        epoch: number of that epoch, from 1; the last one without held-out rows.
    """

    head: nn.Linear
    score: float
    epoch: int


def ground_concepts(
    features: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    least_held_out: int = 10,
    inverse_penalty: float = 1.0,
) -> Grounding:
    r"""Fit a logistic regression per concept, on as many images with the concept as without it.

    .. math:: \min_{w, b} \tfrac12 \|w\|^2
              + C \sum_i \log\big(1 + \exp(-t_i (w^\top z_i / \|z_i\| + b))\big), \qquad t_i = \pm 1

    Of the rarer side (with the concept, or without), a tenth is held out, at most 50 images. The
    other side holds out as many. A concept is left out if that is less than ``least_held_out``.
    The rest is cut at random to the size of the rarer side, and to at most 1,000 images each.

    Source: Yang et al., "A Textbook Remedy for Domain Shifts: Knowledge Priors for Medical Image
    Analysis", NeurIPS 2024; reference code YueYANG1996/KnoBo. The solver is scikit-learn's.

    Args:
        features: ``(N, D)`` float, computed in evaluation mode.
        labels: ``(N, C)`` int64: 1 with the concept, 0 without it, -1 unknown.
        generator: source of the held-out and the fitted rows.
        least_held_out: least held-out images of each side, at least 1.
        inverse_penalty: C > 0.

    Returns:
        The classifiers, in the order of the concepts.

    Raises:
        ValueError: ``least_held_out`` is below 1, or ``inverse_penalty`` is not positive.
    """
    check_at_least(1, {"least_held_out": least_held_out}, of="KnoBo")
    check_positive({"inverse_penalty": inverse_penalty}, of="KnoBo")
    directions = F.normalize(features.double(), dim=1)
    weights, accuracy = [], torch.full((labels.shape[1],), torch.nan, dtype=torch.float64)
    for concept in each(range(labels.shape[1]), "grounding concepts", "concept", bar=False):
        sides = [_shuffled(labels[:, concept] == side, generator) for side in (0, 1)]
        held = held_out_size(min(map(len, sides)))
        if held < least_held_out:
            continue
        most = min(*map(len, sides), held + MOST_FITTED)
        fitting, judged = (torch.cat([rows[part] for rows in sides])
                           for part in (slice(held, most), slice(held)))  # fmt: skip
        weight = _logistic(directions[fitting], labels[fitting, concept], inverse_penalty)
        found = F.linear(directions[judged], weight[None, :-1], weight[-1:])[:, 0] > 0
        accuracy[concept] = (found == (labels[judged, concept] == 1)).double().mean()
        weights.append(weight)
    stacked = torch.stack(weights).to(features) if weights else features.new_zeros(0, 1)
    used = (~accuracy.isnan()).nonzero().flatten()
    return Grounding(stacked[:, :-1], stacked[:, -1], used, accuracy)


def held_out_size(rarer: int) -> int:
    """Number of images of each side that are held out, given the number on the rarer side."""
    return min(int(HELD_OUT * rarer), MOST_HELD_OUT)


def _shuffled(chosen: Tensor, generator: torch.Generator) -> Tensor:
    rows = chosen.nonzero().flatten()
    return rows[torch.randperm(len(rows), generator=generator)]


def _logistic(directions: Tensor, label: Tensor, inverse_penalty: float) -> Tensor:
    """``(D + 1,)`` float64: weights and bias."""
    from sklearn.linear_model import LogisticRegression  # its import takes a second

    model = LogisticRegression(C=inverse_penalty, max_iter=1000)
    model.fit(directions.numpy(), label.numpy())
    return torch.cat([torch.from_numpy(model.coef_[0]), torch.from_numpy(model.intercept_)])


def fit_bottleneck(
    rows: Rows,
    generator: torch.Generator,
    *,
    classes: int,
    prior: Tensor | None = None,
    held_out: Rows | None = None,
    strength: float = 1.0,
    learning_rate: float = 1e-3,
    epochs: int = 200,
    batch_size: int = 64,
) -> FittedBottleneck:
    r"""KnoBo: fit a linear head on the probabilities of concepts, with a prior on its weights.

    .. math:: L = \frac1B \sum_i \mathrm{CE}(W c_i + b, y_i)
              + \lambda \frac{1}{KC} \sum_{kc} |\tanh(W_{kc}) - P_{kc}|

    Adam visits shuffled batches of all rows.

    Source: Yang et al., "A Textbook Remedy for Domain Shifts: Knowledge Priors for Medical Image
    Analysis", NeurIPS 2024; reference code YueYANG1996/KnoBo, with its defaults.

    Args:
        rows: rows whose features are the ``(N, C)`` probabilities of the concepts.
        generator: source of the initial head, and of the order of the rows in each epoch.
        classes: number of classes K.
        prior: ``(K, C)`` P, in [-1, 1]; ``None`` fits without a prior.
        held_out: rows whose worst-group accuracy selects the epoch, the first of equal ones;
            without them the last epoch is used. Equal groups for all rows give plain accuracy.
        strength: :math:`\lambda \ge 0`.
        learning_rate: positive.
        epochs: at least 1.
        batch_size: at least 1. The last batch of an epoch may be smaller.

    Returns:
        The head of the selected epoch.

    Raises:
        ValueError: ``strength`` is negative, ``learning_rate`` is not positive, or ``epochs`` or
            ``batch_size`` is below 1.

    Differs from the reference: held-out rows are judged by their worst group; there by plain
    accuracy.
    """
    check_at_least(0, {"strength": strength}, of="KnoBo")
    check_positive({"learning_rate": learning_rate}, of="KnoBo")
    check_at_least(1, {"epochs": epochs, "batch_size": batch_size}, of="KnoBo")
    size = rows.features.shape[1]
    head = fresh_heads(1, classes=classes, size=size, generator=generator).linear(0)
    head = head.to(rows.features)
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate)
    best = FittedBottleneck(head, -torch.inf, 0)
    for epoch in each(range(1, epochs + 1), "fitting concepts", "epoch", bar=False):
        order = torch.randperm(len(rows.target), generator=generator)
        for batch in torch.split(order, batch_size):
            loss = F.cross_entropy(head(rows.features[batch]), rows.target[batch])
            if prior is not None:
                loss = loss + strength * weight_prior(head.weight, prior)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        best = _better(best, head, held_out, epoch)
    return best


def _better(
    best: FittedBottleneck, head: nn.Linear, held_out: Rows | None, epoch: int
) -> FittedBottleneck:
    """The head of this epoch, copied, if it is better than the best one so far."""
    weights = Heads(head.weight.detach()[None], head.bias.detach()[None])
    if held_out is None:
        return FittedBottleneck(weights.linear(0), torch.nan, epoch)
    predictions = weights.logits(held_out.features).argmax(dim=2)
    scores = worst_group_accuracies(predictions, held_out.target, held_out.group)
    if scores.item() <= best.score:
        return best
    return FittedBottleneck(weights.linear(0), scores.item(), epoch)
