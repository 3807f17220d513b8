"""Projection heads: layers between the features and the last layer, removed after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from debias.errors import check_at_least, check_one_of

if TYPE_CHECKING:
    from debias.models.classifier import Classifier


class Reweight(nn.Module):
    r"""Weight the features by fixed numbers that fall: :math:`h(z)_i = \kappa^{-i} z_i`.

    The i-th feature, counted from 0, gets :math:`\kappa^{-i}` times the gradient. So the first
    features fit the training data, and the last ones hardly change.

    Args:
        size: number of features.
        kappa: :math:`\kappa \ge 1`; 1 changes nothing.
    """

    scales: Tensor

    def __init__(self, size: int, kappa: float) -> None:
        super().__init__()
        powers = -torch.arange(size, dtype=torch.float64)
        self.register_buffer("scales", (kappa**powers).to(torch.get_default_dtype()))

    def forward(self, features: Tensor) -> Tensor:
        """``(N, D)`` weighted features."""
        return features * self.scales


class ProjectedHead(nn.Module):
    r"""A last layer on projected features: :math:`f = W h(z) + b`.

    The features of a model are those before the projection, z. So a recipe such as ``dfr`` fits its
    new last layer on them, and thereby removes the projection.

    Args:
        projection: h, from ``(N, D)`` to ``(N, D)``.
        linear: the linear layer.
    """

    def __init__(self, projection: nn.Module, linear: nn.Linear) -> None:
        super().__init__()
        self.projection, self.linear = projection, linear

    @property
    def in_features(self) -> int:
        """Number of features D."""
        return self.linear.in_features

    @property
    def out_features(self) -> int:
        """Number of logits."""
        return self.linear.out_features

    def forward(self, features: Tensor) -> Tensor:
        """Logits of ``(N, D)`` features."""
        logits: Tensor = self.linear(self.projection(features))
        return logits


@dataclass(frozen=True, kw_only=True)
class Projection:
    """The options of a model that say which projection head it is trained with.

    Source: Xue et al., "Investigating the Benefits of Projection Head for Representation Learning",
    ICLR 2024; reference code jiayini1119/projection-head-experiments.

    Args:
        projection: "none"; "mlp" for two linear layers of D units with a ReLU between them; or
            "reweight" for :class:`Reweight`, which has no parameters.
        kappa: :math:`\\kappa \\ge 1` of "reweight". With a large one, most features get hardly any
            gradient: of 2048 features at 1.05, the last weight is 4e-44.

    Raises:
        ValueError: ``projection`` is unknown, or ``kappa`` is below 1.
    """

    projection: str = "none"
    kappa: float = 1.05

    def __post_init__(self) -> None:
        check_one_of(("none", *PROJECTIONS), {"model.projection": self.projection})
        check_at_least(1, {"model.kappa": self.kappa})

    def on(self, classifier: Classifier) -> Classifier:
        """Put the projection before the last layer of a classifier, and return the classifier."""
        if self.projection in PROJECTIONS:
            made = PROJECTIONS[self.projection](classifier.feature_size, self.kappa)
            classifier.head = ProjectedHead(made, classifier.head)
        return classifier


def _mlp(size: int, kappa: float) -> nn.Module:
    return nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, size))


#: How the projection of each name is made, from the number of features and kappa.
PROJECTIONS: dict[str, Callable[[int, float], nn.Module]] = {"mlp": _mlp, "reweight": Reweight}
NO_PROJECTION = Projection()


def head_of_state(tensors: Mapping[str, Tensor], projected: bool) -> nn.Module | None:
    """A new head for tensors, if only one of it and the present head has a projection.

    Args:
        tensors: the tensors of a head, by name.
        projected: whether the present head has a projection.
    """
    name = "weight" if projected else "linear.weight"
    if name not in tensors:
        return None
    classes, size = tensors[name].shape
    linear = nn.Linear(size, classes, bias=name.replace("weight", "bias") in tensors)
    if projected:
        return linear
    kind = "reweight" if "projection.scales" in tensors else "mlp"
    return ProjectedHead(PROJECTIONS[kind](size, 1.0), linear)
