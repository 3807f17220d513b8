"""What a model attends to in a picture, and how much of it its decision needs: DaC's pieces."""

import torch
from torch import Tensor

from debias.errors import InputError


def most_attended(maps: Tensor, quantile: float) -> Tensor:
    r"""The places of largest attribution: the map's upper :math:`1 - q`, where positive.

    .. math:: m_p = [a_p \ge a_{(\lfloor q n \rfloor + 1)}] \; [a_p > 0]

    with n places, and :math:`a_{(k)}` the k-th smallest. Equal places are kept together; of a map
    without positive place everything is.

    Source: Noohdani et al., "Decompose-and-Compose: A Compositional Approach to Mitigating Spurious
    Correlation", CVPR 2024; reference code fhn98/DaC.

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

    Differs from the reference: the bound is an attribution of the map, there interpolated between
    two; a place without attribution is never kept, where the code keeps the whole picture if the
    quantile itself is 0.
    """
    if not 0 <= quantile < 1:
        raise InputError(f"most_attended needs a quantile in [0, 1); got {quantile}")
    places = maps.flatten(1)
    bound = places.kthvalue(int(quantile * places.shape[1]) + 1, dim=1).values[:, None, None]
    return ((maps >= bound) & (maps > 0)) | (maps <= 0).all(dim=2).all(dim=1)[:, None, None]


def elbows(losses: Tensor, quantiles: Tensor) -> Tensor:
    r"""Where each rising convex curve starts to rise: its Kneedle elbow, as by ``kneed``.

    .. math:: \hat q_k = \frac{q_k - q_1}{q_K - q_1}, \quad
              \hat\ell_k = \frac{\ell_k - \min \ell}{\max \ell - \min \ell}, \qquad
              d_k = \hat q_k - \hat\ell_k

    An elbow is a k at which d peaks, and to the left of which it falls by more than the mean step
    of :math:`\hat q` before it rises again (sensitivity 1). Of several the leftmost is taken, and
    the last quantile of a curve without one: of one that is flat, straight or falls, or bends but a
    little. A convex curve has its elbow where it is furthest below the diagonal, if that is further
    than the step.

    Source: Satopaa et al., "Finding a 'Kneedle' in a Haystack: Detecting Knee Points in System
    Behavior", ICDCS Workshops 2011; for masks, Noohdani et al., CVPR 2024 (reference code
    fhn98/DaC).

    Args:
        losses: ``(N, K)`` float, a curve a row.
        quantiles: ``(K,)`` float, ascending.

    Returns:
        ``(N,)`` float64, a quantile a curve.

    Raises:
        ValueError: there are fewer than two quantiles, or they do not ascend; or kneed is not
            installed.

    Example:
        >>> quantiles = torch.tensor([0.25, 0.5, 0.75, 1.0])
        >>> elbows(torch.tensor([[0.0, 0.1, 0.2, 1.0]]), quantiles).tolist()
        [0.75]
    """
    if len(quantiles) < 2 or not bool((quantiles.diff() > 0).all()):
        raise InputError(f"elbows needs two or more ascending quantiles; got {quantiles.tolist()}")
    places, curves = quantiles.double().tolist(), losses.double().tolist()
    return torch.tensor([_elbow(places, curve) for curve in curves], dtype=torch.float64)


def _elbow(quantiles: list[float], losses: list[float]) -> float:
    try:
        from kneed import KneeLocator
    except ImportError:
        raise InputError(
            'elbows of curves need kneed: pip install "debias-vision[attribution]"'
        ) from None
    if max(losses) == min(losses):
        return quantiles[-1]
    found = KneeLocator(
        quantiles, losses, S=1.0, curve="convex", direction="increasing", online=True
    ).elbow
    return quantiles[-1] if found is None else float(found)


def least_losses(losses: Tensor, quantile: float, *, among: Tensor | None = None) -> Tensor:
    """Samples whose loss is at most a quantile of all: there the model attends to what is causal.

    Source: as :func:`most_attended`.

    Args:
        losses: ``(N,)`` float, at least one.
        quantile: in [0, 1], interpolated linearly.
        among: ``(M,)`` float losses that it is the quantile of, at least one; left out, all.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: the quantile is out of range, or there is no loss.

    Example:
        >>> least_losses(torch.tensor([3.0, 1.0, 2.0, 4.0]), 0.5).tolist()
        [False, True, True, False]
    """
    ordered = (losses if among is None else among).double().sort().values
    if not 0 <= quantile <= 1 or not len(ordered):
        raise InputError(
            f"least_losses needs losses and a quantile in [0, 1]; got {len(ordered)} and {quantile}"
        )
    place = quantile * (len(ordered) - 1)
    below = int(place)
    bound = torch.lerp(ordered[below], ordered[min(below + 1, len(ordered) - 1)], place - below)
    return losses.double() <= bound
