"""Which places of a picture a trained model looked at, from its attribution maps."""

from torch import Tensor


def attended(maps: Tensor, *, deviations: float = 2.0) -> Tensor:
    r"""Places whose attribution stands out among those of their picture that have any.

    .. math:: a > \mu + d \, \sigma, \qquad
              \mu, \sigma \text{ over the places of one map with } a > 0

    Source: Taghanaki et al., "MaskTune: Mitigating Spurious Correlations by Forcing to Explore",
    NeurIPS 2022; reference code aliasgharkhani/Masktune.

    Args:
        maps: ``(N, H, W)`` float attribution, at least 0.
        deviations: d, any number.

    Returns:
        ``(N, H, W)`` bool. Nothing of a map without positive place, nor, if d >= 0, of one that is
        flat where it is positive.

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
