"""Many linear heads on fixed features in one tensor: logits and worst-group accuracies."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_at_least, check_between, check_positive
from debias.models.last_layers import linear_layer


class Heads(NamedTuple):
    """H linear heads: weights ``(H, C, D)`` and biases ``(H, C)``, float."""

    weights: Tensor
    biases: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """``(H, N, C)`` logits of ``(N, D)`` features, in the precision of the heads."""
        with torch.autocast(features.device.type, enabled=False):
            return (
                torch.einsum("hcd,nd->hnc", self.weights, features.to(self.weights))
                + self.biases[:, None]
            )

    def linear(self, head: int) -> nn.Linear:
        """Copy one of the heads into a new layer."""
        _, outputs, inputs = self.weights.shape
        # on "meta", torch draws no random weights
        layer = nn.Linear(inputs, outputs, device="meta", dtype=self.weights.dtype).to_empty(
            device=self.weights.device
        )
        layer.load_state_dict({"weight": self.weights[head], "bias": self.biases[head]})
        return layer


class Rows(NamedTuple):
    """Features with labels: ``(N, D)`` float, ``(N,)`` int64 class, ``(N,)`` int64 group or -1.

    Without bias labels, give the class as the group. The worst group is then the worst class.
    """

    features: Tensor
    target: Tensor
    group: Tensor

    def take(self, positions: Tensor) -> Rows:
        """The rows at ``(K,)`` int64 positions."""
        return Rows(*(column[positions] for column in self))


def check_descent(settings: Mapping[str, float | Tensor], *, positive: Collection[str]) -> None:
    """Check the settings of a gradient descent of heads: each is a number, or ``(H,)``.

    Raises:
        ValueError: one of the settings ``positive`` is not positive, another one is negative, or
            ``momentum`` is 1 or more.
    """
    values = {name: torch.as_tensor(value) for name, value in settings.items()}
    least = {name: float(value.min()) for name, value in values.items()}
    check_positive({name: least.pop(name) for name in positive})
    check_at_least(0, least)
    greatest = float(values["momentum"].max())
    check_between("[0, 1)", {"momentum": greatest}, hint="1 or more does not converge")


class FittedHeads(NamedTuple):
    """Fitted heads, each from the step with its best score on held-out rows.

    Attributes:
        heads: the H heads.
        scores: ``(H,)`` float64 worst-group accuracy on the held-out rows at that step; NaN without
            held-out rows.
        steps: ``(H,)`` int64 number of that step, counted from 1; the last step without held-out
            rows.
    """

    heads: Heads
    scores: Tensor
    steps: Tensor

    @property
    def best(self) -> int:
        """Index of the head with the highest selection score; the first of equal ones."""
        if bool(self.scores.isnan().any()):
            raise InputError("heads without scores cannot be compared: fit them with held-out rows")
        return int(self.scores.argmax())


def repeated(layer: nn.Module, *, count: int) -> Heads:
    """Repeat the last layer of a classifier, so that ``count`` heads start from it.

    A layer without a bias gets one of zeros.

    Raises:
        ValueError: the layer is not linear.
    """
    layer = linear_layer(layer)
    if not isinstance(layer, nn.Linear):
        raise InputError(
            f"the last layer must be linear to start from it; got {type(layer).__name__}: give "
            "another backbone, such as the one of that run"
        )
    weights = layer.weight.detach()
    biases = weights.new_zeros(len(weights)) if layer.bias is None else layer.bias.detach()
    return Heads(weights.expand(count, -1, -1), biases.expand(count, -1))


def fresh_heads(count: int, *, classes: int, size: int, generator: torch.Generator) -> Heads:
    r"""New heads with uniform random parameters in :math:`\pm 1/\sqrt{D}`, as in ``nn.Linear``.

    Args:
        count: number of heads H.
        classes: number of classes C.
        size: number of features D.
        generator: source of the random parameters.
    """
    bound = 1 / math.sqrt(size)
    drawn = (2 * torch.rand(count, classes, size + 1, generator=generator) - 1) * bound
    return Heads(drawn[..., :size], drawn[..., size])


def worst_group_accuracies(predictions: Tensor, target: Tensor, group: Tensor) -> Tensor:
    r"""Worst-group accuracy of each of H heads, from their predictions for the same rows.

    .. math:: \min_{g: n_g > 0} \frac{1}{n_g} \sum_{i: g_i = g} 1[\hat y_{hi} = y_i]

    Args:
        predictions: ``(H, N)`` int64 class.
        target: ``(N,)`` int64 class.
        group: ``(N,)`` int64; -1 leaves the row out.

    Returns:
        ``(H,)`` float64.

    Raises:
        ValueError: no row has a group.

    Example:
        >>> predictions = torch.tensor([[0, 0, 1], [0, 1, 0]])
        >>> worst_group_accuracies(predictions, torch.tensor([0, 0, 1]), torch.tensor([0, 0, 2]))
        tensor([1., 0.], dtype=torch.float64)
    """
    if bool((group < 0).all()):
        raise InputError("no held-out row has a group: label them, or give the class as the group")
    members = F.one_hot(group + 1)[:, 1:].float()
    members = members[:, members.any(dim=0)]
    # counts below 2^24 are exact in float32
    right = (predictions == target).float() @ members
    return (right.double() / members.sum(dim=0).double()).amin(dim=1)
