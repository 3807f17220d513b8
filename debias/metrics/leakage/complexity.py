"""In which layers of a network a feature can be read off by a line."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError


class Complexity(NamedTuple):
    """In which layers a feature is linear: ``complexity`` in [0, 1], and R^2 of each."""

    complexity: float
    explained: tuple[float, ...]


def feature_complexity(layers: Sequence[Tensor], feature: Tensor, train: Tensor) -> Complexity:
    r"""How late in a network a feature can be read off by a line.

    .. math:: K = 1 - \frac{1}{L} \sum_l \max(0, R^2_l)

    Source: Fel et al., "Understanding Visual Feature Reliance through the Lens of Complexity",
    NeurIPS 2024 (no public code); the linear information of each layer is read as held-out R^2 of a
    least-squares fit.

    Args:
        layers: L tensors ``(N, ...)`` of one layer's activations each; what follows N is flattened.
        feature: ``(N,)`` float values of the feature.
        train: ``(N,)`` bool, the rows to fit on; R^2 is taken on the others.

    Returns:
        In [0, 1]: 0 if every layer gives the feature linearly, 1 if none does. NaN if no row is
        held out, none fitted, or the feature does not vary among those held out.

    Raises:
        ValueError: there is no layer, or not one row a sample.
    """
    if (
        not layers
        or any(len(part) != len(feature) for part in (*layers, train))
        or feature.ndim != 1
    ):
        raise InputError(
            f"feature_complexity needs layers of one row for each of the {len(feature)} values of "
            f"the feature and of train; got {[tuple(layer.shape) for layer in layers]} and "
            f"{tuple(train.shape)}"
        )
    explained = [
        _explained(layer.double().flatten(1), feature.double(), train.bool()) for layer in layers
    ]
    found = torch.tensor(explained, dtype=torch.float64)
    return Complexity(1 - found.clamp(min=0).mean().item(), tuple(explained))


def _explained(layer: Tensor, feature: Tensor, train: Tensor) -> float:
    from sklearn.linear_model import LinearRegression

    layer, feature, train = (values.detach().cpu() for values in (layer, feature, train))
    held = feature[~train]
    spread = float((held - held.mean()).square().sum()) if len(held) else 0.0
    if spread == 0 or not train.any():
        return math.nan
    fitted = LinearRegression().fit(layer[train].numpy(), feature[train].numpy())
    missed = held - torch.from_numpy(fitted.predict(layer[~train].numpy()))
    return 1 - float(missed.square().sum()) / spread
