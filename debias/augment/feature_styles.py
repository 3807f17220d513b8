"""Mixing of feature styles inside the model: MixStyle, EFDMix and pAdaIN."""

import torch
from torch import Tensor, nn

from debias.augment.layer_augmentation import LayerAugmentation, check_positions
from debias.augment.mixing import beta
from debias.errors import check_positive


def mix_moments(activation: Tensor, partner: Tensor, own: Tensor) -> Tensor:
    r"""Give each channel of each sample a mixture of its own and its partner's mean and deviation.

    .. math:: \tilde x = \bar\sigma \frac{x - \mu}{\sigma} + \bar\mu, \quad
              \bar\sigma = \lambda \sigma + (1 - \lambda) \sigma_p, \quad
              \bar\mu = \lambda \mu + (1 - \lambda) \mu_p

    with mean and deviation :math:`\sigma = \sqrt{v + \epsilon}` over positions. They have no
    gradient. The variance v divides by the number of positions less one; :math:`\epsilon` is 1e-6.

    Source: Zhou et al., "Domain Generalization with MixStyle", ICLR 2021.

    Args:
        activation: ``(N, C, *)`` float, with at least two positions.
        partner: ``(N,)`` int64 position of each sample's partner in the batch.
        own: ``(N,)`` float :math:`\lambda` in [0, 1].

    Returns:
        An activation of the same shape and dtype.
    """
    deviation, mean = _moments(activation.detach(), 1e-6)
    share = own.to(mean.dtype).view(-1, *[1] * (activation.ndim - 1))
    scale = torch.lerp(deviation[partner], deviation, share) / deviation
    return _affine(activation, scale, torch.lerp(mean[partner], mean, share) - scale * mean)


def swap_moments(activation: Tensor, partner: Tensor) -> Tensor:
    r"""Replace the mean and deviation of each channel of each sample by those of its partner.

    .. math:: \tilde x = \sigma_p \frac{x - \mu}{\sigma + \epsilon} + \mu_p, \qquad
              \sigma = \sqrt{v + \epsilon}

    The partner's moments have no gradient, and the sample's own moments have one. The sum of the
    gradient over positions is therefore 0. :math:`\epsilon` is 1e-5.

    Source: Nuriel et al., "Permuted AdaIN: Reducing the Bias Towards Global Statistics in Image
    Classification", CVPR 2021.

    Args:
        activation: ``(N, C, *)`` float, with at least two positions.
        partner: ``(N,)`` int64 position of each sample's partner in the batch.

    Returns:
        An activation of the same shape and dtype.
    """
    eps = 1e-5
    deviation, mean = _moments(activation, eps)
    scale = deviation.detach()[partner] / (deviation + eps)
    return _affine(activation, scale, mean.detach()[partner] - scale * mean)


def match_values(activation: Tensor, partner: Tensor, own: Tensor) -> Tensor:
    r"""Move the value of each rank towards the partner's value of the same rank, in each channel.

    .. math:: \tilde x_{(r)} = x_{(r)} + (1 - \lambda) (x_{p, (r)} - \mathrm{sg}[x_{(r)}])

    With :math:`\lambda = 0`, each channel has exactly the values of the partner's channel, in the
    order of its own values (exact histogram matching). The gradient by x is the identity, and the
    partner's values have a gradient.

    Source: Zhang et al., "Exact Feature Distribution Matching for Arbitrary Style Transfer and
    Domain Generalization", CVPR 2022.

    Args:
        activation: ``(N, C, *)`` float.
        partner: ``(N,)`` int64 position of each sample's partner in the batch.
        own: ``(N,)`` float :math:`\lambda` in [0, 1].

    Returns:
        An activation of the same shape and dtype.

    Example:
        >>> values = torch.tensor([[[3.0, 1.0, 2.0]], [[10.0, 30.0, 20.0]]])
        >>> match_values(values, torch.tensor([1, 0]), torch.zeros(2))[0].tolist()
        [[30.0, 10.0, 20.0]]
    """
    flat = activation.flatten(2)
    values, order = flat.sort(dim=2, stable=True)  # stable, so that ties give one result
    rank = torch.empty_like(order)
    rank.scatter_(2, order, torch.arange(order.shape[2], device=order.device).expand_as(order))
    share = 1 - own.to(flat.dtype)[:, None, None]
    matched = values[partner].gather(2, rank)
    return activation + (share * (matched - flat.detach())).view(activation.shape)


class MixStyle(LayerAugmentation):
    r"""Mix the mean and deviation of channels with those of another image, in named layers.

    Each layer is changed with probability ``probability`` per pass, by :func:`mix_moments` with a
    random partner of the batch and :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)` per sample.

    Channel statistics of early layers hold the style of an image, such as colour and contrast. The
    class then depends less on them. Texture and shape remain.

    Source: Zhou et al., "Domain Generalization with MixStyle", ICLR 2021; reference code
    KaiyangZhou/mixstyle-release.

    Args:
        model: the model that is trained.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        layers: dotted names of the layers, as in timm. The default is that of a ResNet.
        probability: probability of a change.
        alpha: positive. With a small alpha most images keep nearly one style.

    Raises:
        ValueError: ``probability`` is outside [0, 1], ``alpha`` is not positive, or a layer does
            not exist or gives neither maps nor tokens.

    Differs from the reference: it computes the same with one product per value. Tokens of a
    transformer are positions, the class token included.
    """

    def __init__(
        self,
        model: nn.Module,
        image: Tensor,
        *,
        layers: tuple[str, ...] = ("layer1", "layer2"),
        probability: float = 0.5,
        alpha: float = 0.1,
    ) -> None:
        check_positive({"alpha": alpha}, of=type(self).__name__)
        check_positions(model, image, layers)
        super().__init__(model, layers, probability=probability)
        self.alpha = alpha

    def change(self, activation: Tensor) -> Tensor:
        """Mix moments with random partners; see :func:`mix_moments`."""
        own = self.shares(activation)
        return mix_moments(activation, _partner(activation), own)

    def shares(self, activation: Tensor) -> Tensor:
        """``(N,)`` share that each sample keeps of its own style."""
        return beta(len(activation), self.alpha, activation.device)


class EFDMix(MixStyle):
    r"""Match the values of channels to those of another image by rank, in named layers.

    As :class:`MixStyle`, but by :func:`match_values`. It mixes whole distributions of values, not
    only their mean and deviation.

    Source: Zhang et al., "Exact Feature Distribution Matching for Arbitrary Style Transfer and
    Domain Generalization", CVPR 2022; reference code YBZh/EFDM.

    Args:
        model: the model that is trained.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        layers: dotted names of the layers, as in timm. The default is that of a ResNet-50; the
            paper adds ``layer3`` for a ResNet-18.
        probability: probability of a change.
        alpha: positive. With a small alpha most images keep nearly one style.

    Raises:
        ValueError: as for :class:`MixStyle`.

    Differs from the reference: sorting is stable. Equal values then have one result.
    """

    def change(self, activation: Tensor) -> Tensor:
        """Match values with those of random partners; see :func:`match_values`."""
        own = self.shares(activation)
        return match_values(activation, _partner(activation), own)


class PermutedAdaIN(LayerAugmentation):
    """Swap the mean and deviation of channels with another image, after random convolutions.

    After each convolution, with a small probability per pass, every sample gets the moments of a
    random partner of the batch, by :func:`swap_moments`. With 53 convolutions and a probability of
    0.01, 41 % of the passes are changed somewhere.

    Source: Nuriel et al., "Permuted AdaIN: Reducing the Bias Towards Global Statistics in Image
    Classification", CVPR 2021; reference code onuriel/PermutedAdaIN.

    Args:
        model: the model that is trained.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        layers: dotted names of the layers. Empty means every convolution. Convolutions that give
            one value per channel are not changed.
        probability: probability of a change, drawn per layer and pass.

    Raises:
        ValueError: ``probability`` is outside [0, 1], a named layer does not exist or gives neither
            maps nor tokens, or the model has no convolution.

    Differs from the reference: convolutions of shortcuts are changed too.
    """

    def __init__(
        self,
        model: nn.Module,
        image: Tensor,
        *,
        layers: tuple[str, ...] = (),
        probability: float = 0.01,
    ) -> None:
        convolutions = [
            name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)
        ]
        if layers or not convolutions:
            check_positions(model, image, layers)
        super().__init__(model, layers or convolutions, probability=probability)

    def change(self, activation: Tensor) -> Tensor:
        """Swap moments with random partners; see :func:`swap_moments`."""
        return swap_moments(activation, _partner(activation))


def _partner(activation: Tensor) -> Tensor:
    return torch.randperm(len(activation), device=activation.device)


def _moments(activation: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Deviation and mean of each channel over positions, ``(N, C, 1, ...)``, at least float32."""
    precise = activation.to(torch.promote_types(activation.dtype, torch.float32))
    variance, mean = torch.var_mean(precise, dim=tuple(range(2, precise.ndim)), keepdim=True)
    return (variance + eps).sqrt(), mean


def _affine(activation: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift, activation, scale).to(activation.dtype)
