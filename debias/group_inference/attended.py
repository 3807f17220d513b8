"""The positions of an image that a trained model attends to, from its attribution maps."""

from torch import Tensor


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
