"""How much of the variance of features is explained by the target, and how much by the bias."""

import math

import torch
from torch import Tensor

from debias.errors import InputError


def variance_explained(features: Tensor, attribute: Tensor) -> float:
    r"""Share of the variance of features that lies between the values of an attribute.

    .. math:: \eta^2 = \frac{\sum_v n_v \lVert \bar z_v - \bar z \rVert^2}
              {\sum_i \lVert z_i - \bar z \rVert^2}

    over all dimensions together. Source: eta squared of the analysis of variance, as used by
    Lampinen et al., "Learned feature representations are biased by complexity, learning order,
    position, and more", TMLR 2024.

    Args:
        features: ``(N, D)`` float.
        attribute: ``(N,)`` integer values.

    Returns:
        In [0, 1]; NaN if the features are constant, or without a row.

    Raises:
        ValueError: the lengths differ.

    Example:
        >>> z = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
        >>> variance_explained(z, torch.tensor([0, 0, 1, 1]))
        1.0
        >>> variance_explained(z, torch.tensor([0, 1, 0, 1]))
        0.0
    """
    if features.ndim != 2 or attribute.shape != features.shape[:1]:
        raise InputError(
            f"features must be (N, D) and attribute (N,); got {tuple(features.shape)} and "
            f"{tuple(attribute.shape)}"
        )
    if not len(features):
        return math.nan
    centred = features.double() - features.double().mean(dim=0)
    total = float(centred.square().sum())
    _, value = torch.unique(attribute.to(centred.device), return_inverse=True)
    count = value.bincount()
    sums = centred.new_zeros(len(count), centred.shape[1]).index_add(0, value, centred)
    between = float((sums.square().sum(dim=1) / count).sum())
    return between / total if total > 0 else math.nan


def variance_report(features: Tensor, bias: Tensor, target: Tensor) -> dict[str, float]:
    """The ``variance/`` numbers of the family ``FEATURES``, as floats.

    The bias alone explains what the groups explain beyond the target: eta squared of the pairs of
    target and bias minus that of the target.

    Args:
        features: ``(N, D)`` float.
        bias: ``(N,)`` int64 values; rows with -1 are left out.
        target: ``(N,)`` int64 classes, or ``(N, L)`` 0/1 labels, of which each combination counts.
    """
    known = bias >= 0
    features, value = features.flatten(1)[known], bias[known]
    label = torch.unique(target[known].view(len(value), -1), dim=0, return_inverse=True)[1]
    cell = torch.unique(torch.stack([label, value], dim=1), dim=0, return_inverse=True)[1]
    of_target = variance_explained(features, label)
    return {
        "variance/target": of_target,
        "variance/bias": variance_explained(features, value),
        "variance/bias_alone": variance_explained(features, cell) - of_target,
    }
