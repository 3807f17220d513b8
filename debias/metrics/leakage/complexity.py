"""In which layers of a network a feature can be predicted by a linear map."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError


class Complexity(NamedTuple):
    """How late in a network a feature becomes linear.

    Attributes:
        complexity: in [0, 1]; 0 if every layer predicts the feature linearly, 1 if none does.
        explained: held-out R^2 of each layer.
    """

    complexity: float
    explained: tuple[float, ...]


def feature_complexity(layers: Sequence[Tensor], feature: Tensor, train: Tensor) -> Complexity:
    r"""How late in a network a feature can be predicted by a linear map of the activations.

    .. math:: K = 1 - \frac{1}{L} \sum_l \max(0, R^2_l)

    Source: Fel et al., "Understanding Visual Feature Reliance through the Lens of Complexity",
    NeurIPS 2024 (no public code). The linear information of each layer is here the held-out
    :math:`R^2_l` of a least-squares fit.

    Args:
        layers: L tensors ``(N, ...)``, the activations of one layer each; all dimensions after N
            are flattened.
        feature: ``(N,)`` float values of the feature.
        train: ``(N,)`` bool, the rows to fit on; R^2 is computed on the others.

    Returns:
        Complexity in [0, 1], and R^2 of each layer. NaN if there is no row to fit on, no held-out
        row, or if the feature is constant on the held-out rows.

    Raises:
        ValueError: ``layers`` is empty, or lengths differ from that of ``feature``.
    """
    if (
        not layers
        or any(len(part) != len(feature) for part in (*layers, train))
        or feature.ndim != 1
    ):
        raise InputError(
            "feature_complexity needs a layer, and layers and train with one row for each of the "
            f"{len(feature)} values of feature; got layers of shapes "
            f"{[tuple(layer.shape) for layer in layers]} and train of shape {tuple(train.shape)}"
        )
    explained = [
        _explained(layer.double().flatten(1), feature.double(), train.bool()) for layer in layers
    ]
    shares = torch.tensor(explained, dtype=torch.float64)
    return Complexity(1 - shares.clamp(min=0).mean().item(), tuple(explained))


def _explained(layer: Tensor, feature: Tensor, train: Tensor) -> float:
    from sklearn.linear_model import LinearRegression

    layer, feature, train = (values.detach().cpu() for values in (layer, feature, train))
    held_out = feature[~train]
    spread = float((held_out - held_out.mean()).square().sum()) if len(held_out) else 0.0
    if spread == 0 or not train.any():
        return math.nan
    fitted = LinearRegression().fit(layer[train].numpy(), feature[train].numpy())
    residual = held_out - torch.from_numpy(fitted.predict(layer[~train].numpy()))
    return 1 - float(residual.square().sum()) / spread
