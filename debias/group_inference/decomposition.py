"""Parts of DaC: what a model attends to in an image, and how much of that its decision needs."""

import torch
from torch import Tensor

from debias.errors import InputError


def most_attended(maps: Tensor, quantile: float) -> Tensor:
    r"""Mark the positions of largest attribution: a share :math:`1 - q` of each map.

    .. math:: m_p = [a_p \ge a_{(\lfloor q n \rfloor + 1)}] \; [a_p > 0]

    with n positions, and :math:`a_{(k)}` the k-th smallest attribution. All positions that equal
    the bound are marked. A map without a positive value is marked as a whole.

    Source: Noohdani et al., "Decompose-and-Compose: A Compositional Approach to Mitigating Spurious
    Correlation", CVPR 2024; reference code fhn98/DaC.

    Args:
        maps: ``(N, H, W)`` float attribution, at least 0.
        quantile: q in [0, 1), the share of positions that is not marked.

    Returns:
        ``(N, H, W)`` bool, true at the marked positions.

    Raises:
        ValueError: ``quantile`` is outside [0, 1).

    Example:
        >>> most_attended(torch.tensor([[[0.1, 0.2], [0.4, 0.3]]]), quantile=0.5).int().tolist()
        [[[0, 0], [1, 1]]]

    Differs from the reference: the bound is one of the map's own values. The reference interpolates
    between two of them, and keeps the whole image if the bound is 0. Here a position without
    attribution is marked only if the whole map has none.
    """
    if not 0 <= quantile < 1:
        raise InputError(f"most_attended needs a quantile in [0, 1); got {quantile}")
    values = maps.flatten(1)
    bound = values.kthvalue(int(quantile * values.shape[1]) + 1, dim=1).values[:, None, None]
    return ((maps >= bound) & (maps > 0)) | (maps <= 0).all(dim=2).all(dim=1)[:, None, None]


def elbows(losses: Tensor, quantiles: Tensor) -> Tensor:
    r"""Find the elbow of each curve, where it starts to rise, by the Kneedle method of ``kneed``.

    .. math:: \hat q_k = \frac{q_k - q_1}{q_K - q_1}, \quad
              \hat\ell_k = \frac{\ell_k - \min \ell}{\max \ell - \min \ell}, \qquad
              d_k = \hat q_k - \hat\ell_k

    An elbow is a k at which d peaks. To the left of the peak, d falls by more than the mean step of
    :math:`\hat q` before it rises again (sensitivity 1). Of several elbows the leftmost is taken. A
    curve that is flat, straight, falling or only slightly bent has no elbow; its result is the last
    quantile. A convex curve has its elbow where it is furthest below the diagonal, if that distance
    exceeds the step.

    Source: Satopaa et al., "Finding a 'Kneedle' in a Haystack: Detecting Knee Points in System
    Behavior", ICDCS Workshops 2011; for masks, Noohdani et al., CVPR 2024 (reference code
    fhn98/DaC).

    Args:
        losses: ``(N, K)`` float, one curve per row.
        quantiles: ``(K,)`` float, ascending.

    Returns:
        ``(N,)`` float64, one of the quantiles for each curve.

    Raises:
        ValueError: ``quantiles`` has fewer than two entries or does not ascend, or kneed is not
            installed.

    Example:
        >>> quantiles = torch.tensor([0.25, 0.5, 0.75, 1.0])
        >>> elbows(torch.tensor([[0.0, 0.1, 0.2, 1.0]]), quantiles).tolist()
        [0.75]
    """
    if len(quantiles) < 2 or not bool((quantiles.diff() > 0).all()):
        raise InputError(f"elbows needs two or more ascending quantiles; got {quantiles.tolist()}")
    ascending, curves = quantiles.double().tolist(), losses.double().tolist()
    return torch.tensor([_elbow(ascending, curve) for curve in curves], dtype=torch.float64)


def _elbow(quantiles: list[float], losses: list[float]) -> float:
    try:
        from kneed import KneeLocator
    except ImportError:
        raise InputError('elbows needs kneed: pip install "debias-vision[attribution]"') from None
    if max(losses) == min(losses):
        return quantiles[-1]
    elbow = KneeLocator(
        quantiles, losses, S=1.0, curve="convex", direction="increasing", online=True
    ).elbow
    return quantiles[-1] if elbow is None else float(elbow)


def least_losses(losses: Tensor, quantile: float, *, among: Tensor | None = None) -> Tensor:
    """Mark the samples whose loss is at most a quantile of all losses.

    DaC assumes that the model attends to the causal part of their images.

    Source: as :func:`most_attended`.

    Args:
        losses: ``(N,)`` float, at least one.
        quantile: in [0, 1], interpolated linearly.
        among: ``(M,)`` float, at least one loss; the quantile is taken over them. By default it is
            taken over ``losses``.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: ``quantile`` is outside [0, 1], or there is no loss.

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
