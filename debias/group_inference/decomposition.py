"""What a trained model attends to in a picture, and how much of it its decision needs: the pieces of DaC."""

from __future__ import annotations

import torch
from torch import Tensor

#: A curve closer than this to its diagonal has no elbow: what is left is rounding.
ROUNDING = 1e-9


def most_attended(maps: Tensor, quantile: float) -> Tensor:
    r"""The places of largest attribution: those of the map's upper :math:`1 - q`, as far as they are positive.

    .. math:: m_p = [a_p \ge a_{(\lfloor q n \rfloor + 1)}] \; [a_p > 0]

    with n places, and :math:`a_{(k)}` the k-th smallest. Equal places are kept together; of a map without positive
    place everything is.

    Source: Noohdani et al., "Decompose-and-Compose: A Compositional Approach to Mitigating Spurious Correlation", CVPR
    2024; reference code fhn98/DaC.

    Args:
        maps: ``(N, H, W)`` float attribution, at least 0.
        quantile: q in [0, 1), the share of places that is left out.

    Returns:
        ``(N, H, W)`` bool.

    Raises:
        ValueError: the quantile is out of range.

    Example:
        >>> most_attended(torch.tensor([[[0.1, 0.2], [0.4, 0.3]]]), quantile=0.5).int().tolist()
        [[[0, 0], [1, 1]]]

    Differs from the reference: the bound is an attribution of the map, there interpolated between two; a place without
    attribution is never kept, where the code keeps the whole picture if the quantile itself is 0.
    """
    if not 0 <= quantile < 1:
        raise ValueError(f"most_attended needs a quantile in [0, 1); got {quantile}")
    places = maps.flatten(1)
    bound = places.kthvalue(int(quantile * places.shape[1]) + 1, dim=1).values[:, None, None]
    return ((maps >= bound) & (maps > 0)) | (maps <= 0).all(dim=2).all(dim=1)[:, None, None]


def elbows(losses: Tensor, quantiles: Tensor) -> Tensor:
    r"""Where each rising convex curve starts to rise: the Kneedle elbow.

    .. math:: \hat q_k = \frac{q_k - q_1}{q_K - q_1}, \quad
              \hat\ell_k = \frac{\ell_k - \min \ell}{\max \ell - \min \ell}, \qquad
              q^* = q_{\arg\max_k (\hat q_k - \hat\ell_k)}

    the point furthest below the diagonal of the normalised curve, the first of several. A curve that is nowhere below
    it, or flat, has no elbow, and the last quantile is taken.

    Source: Satopaa et al., "Finding a 'Kneedle' in a Haystack: Detecting Knee Points in System Behavior", ICDCS
    Workshops 2011; for masks, Noohdani et al., CVPR 2024 (reference code fhn98/DaC).

    Args:
        losses: ``(N, K)`` float, a curve a row.
        quantiles: ``(K,)`` float, ascending.

    Returns:
        ``(N,)`` float64, a quantile a curve.

    Raises:
        ValueError: there are fewer than two quantiles, or they do not ascend.

    Example:
        >>> elbows(torch.tensor([[0.0, 0.1, 0.2, 1.0]]), torch.tensor([0.3, 0.4, 0.5, 0.6])).tolist()
        [0.5]

    Differs from the reference: it smooths no curve and has no sensitivity, that is, a threshold below which the
    distance has to fall again before a peak counts; a curve that ends with its largest distance, as one that falls
    does, gives the last quantile either way.
    """
    quantiles, losses = quantiles.double(), losses.double()
    if len(quantiles) < 2 or not bool((quantiles.diff() > 0).all()):
        raise ValueError(f"elbows needs two or more ascending quantiles; got {quantiles.tolist()}")
    least = losses.amin(dim=1, keepdim=True)
    spread = losses.amax(dim=1, keepdim=True) - least
    along = (quantiles - quantiles[0]) / (quantiles[-1] - quantiles[0])
    distance = torch.where(spread > 0, along - (losses - least) / torch.where(spread > 0, spread, 1), 0)
    furthest = distance.max(dim=1)
    return torch.where(furthest.values > ROUNDING, quantiles[furthest.indices], quantiles[-1])


def least_losses(losses: Tensor, quantile: float) -> Tensor:
    """Samples whose loss is at most a quantile of all: of these, DaC takes the model to attend to what is causal.

    Source: as :func:`most_attended`.

    Args:
        losses: ``(N,)`` float, at least one.
        quantile: in [0, 1], interpolated linearly.

    Returns:
        ``(N,)`` bool, true for one sample at least.

    Raises:
        ValueError: the quantile is out of range, or there is no loss.

    Example:
        >>> least_losses(torch.tensor([3.0, 1.0, 2.0, 4.0]), 0.5).tolist()
        [False, True, True, False]
    """
    if not 0 <= quantile <= 1 or not len(losses):
        raise ValueError(f"least_losses needs losses and a quantile in [0, 1]; got {len(losses)} and {quantile}")
    losses = losses.double()
    ordered = losses.sort().values
    place = quantile * (len(losses) - 1)
    below = int(place)
    bound = torch.lerp(ordered[below], ordered[min(below + 1, len(losses) - 1)], place - below)
    return losses <= bound
