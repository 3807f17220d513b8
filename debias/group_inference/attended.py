"""The positions of an image that a trained model attends to, from its attribution maps."""

import torch
from torch import Tensor

from debias.errors import check_between


def attended(maps: Tensor, *, deviations: float = 2.0) -> Tensor:
    r"""Mark the positions of each map whose attribution is unusually high.

    .. math:: a > \mu + d \, \sigma, \qquad
              \mu, \sigma \text{ over the positions of one map with } a > 0

    Source: Taghanaki et al., "MaskTune: Mitigating Spurious Correlations by Forcing to Explore",
    NeurIPS 2022; reference code aliasgharkhani/Masktune.

    Args:
        maps: ``(N, H, W)`` float attribution, at least 0.
        deviations: d, any number.

    Returns:
        ``(N, H, W)`` bool, true at the marked positions. A map without a positive value has none.
        If d >= 0, a map whose positive values are all equal has none either.

    Example:
        >>> import torch
        >>> attended(torch.tensor([[[0.0, 1.0], [1.0, 4.0]]]), deviations=1).int().tolist()
        [[[0, 0], [0, 1]]]
    """
    maps = maps.double()
    positive = maps > 0
    count = positive.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    mean = maps.mul(positive).sum(dim=(1, 2), keepdim=True) / count
    variance = (maps - mean).square().mul(positive).sum(dim=(1, 2), keepdim=True) / count
    return positive & (maps > mean + deviations * variance.sqrt())


def above_quantile(maps: Tensor, quantile: float) -> Tensor:
    r"""Mark the positions whose attribution is at or above a quantile of their map.

    .. math:: m_p = [a_p \ge Q_\tau(a)], \qquad
              Q_\tau(a) = (1 - t) \, a_{(k)} + t \, a_{(k + 1)}, \quad k + t = 1 + \tau (n - 1)

    with n positions, and :math:`a_{(k)}` the k-th smallest attribution. It marks a share
    :math:`1 - \tau` of the positions, and all that equal the bound. So it marks the whole
    of a constant map. It also marks the whole map if a share :math:`\tau` or more is 0, and no
    value is below 0.

    Source: Marani et al., "ViG-Bias: Visually Grounded Bias Discovery and Mitigation", ECCV 2024;
    reference code badrmarani/vig-bias-eccv.

    Args:
        maps: ``(N, H, W)`` float attribution.
        quantile: :math:`\tau` in [0, 1]; 0 marks every position, 1 only the largest attribution.

    Returns:
        ``(N, H, W)`` bool, true at the marked positions.

    Raises:
        ValueError: ``quantile`` is outside [0, 1].

    Example:
        >>> above_quantile(torch.tensor([[[0.1, 0.2], [0.4, 0.3]]]), 0.5).int().tolist()
        [[[0, 0], [1, 1]]]
    """
    check_between("[0, 1]", {"quantile": quantile})
    ordered = maps.double().flatten(1).sort(dim=1).values
    place = quantile * (ordered.shape[1] - 1)
    below = min(int(place), ordered.shape[1] - 1)
    above = min(below + 1, ordered.shape[1] - 1)
    bound = torch.lerp(ordered[:, below], ordered[:, above], place - below)
    return maps.double() >= bound[:, None, None]
