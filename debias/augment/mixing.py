"""Mixup and CutMix: mix pairs of images, and their targets by each image's share of the result."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.augment.augmentation import Augmentation
from debias.errors import check_positive
from debias.types import Batch, Groups


def blend(batch: Batch, partner: Tensor, own: Tensor, *, classes: int) -> Batch:
    r"""Mix each sample with its partner by pixel weights.

    .. math:: \tilde x_i = w_i x_i + (1 - w_i)\, x_{p(i)}, \qquad
              \tilde t_i = \bar w_i t_i + (1 - \bar w_i)\, t_{p(i)}

    where :math:`\bar w` is the mean of w over the image. Masks and backgrounds are mixed like the
    image. Bias, index and weight stay those of the sample itself.

    Args:
        batch: a batch with ``(N,)`` class indices.
        partner: ``(N,)`` int64 p, position of each sample's partner in the batch.
        own: w, ``(N, 1, H, W)`` or ``(N, 1, 1, 1)``, weight of the sample itself in [0, 1]. A
            weight of 1 leaves the sample exactly unchanged.
        classes: number of classes C.

    Returns:
        The batch with ``(N, C)`` class probabilities as targets.
    """

    def blended(first: Tensor) -> Tensor:
        """Images or masks mixed with those of the partners."""
        return own.to(first.dtype) * first + (1 - own).to(first.dtype) * first[partner]

    target = F.one_hot(batch.target, classes).to(torch.promote_types(own.dtype, torch.float32))
    share = own.mean(dim=(1, 2, 3))[:, None]
    return batch._replace(
        image=blended(batch.image),
        target=share * target + (1 - share) * target[partner],
        mask=None if batch.mask is None else blended(batch.mask),
        background=None if batch.background is None else blended(batch.background),
    )


def mixup_weights(coefficient: Tensor, image: Tensor) -> Tensor:
    """Weights for mixup: ``(N, 1, 1, 1)``, the coefficient of each sample at every pixel."""
    return coefficient[:, None, None, None]


def cutmix_weights(coefficient: Tensor, image: Tensor) -> Tensor:
    """Weights for CutMix: ``(N, 1, H, W)``, 0 inside a box at a random place and 1 outside.

    Args:
        coefficient: ``(N,)`` in [0, 1], share of the image outside the box.
        image: ``(N, 3, H, W)``, which gives size and device.
    """
    centre = torch.rand(len(image), 2, device=image.device)
    return outside_box(coefficient, centre, height=image.shape[2], width=image.shape[3])


def outside_box(coefficient: Tensor, centre: Tensor, *, height: int, width: int) -> Tensor:
    r"""Indicator of the pixels outside a box with the area share :math:`1 - \lambda`.

    It is ``(N, 1, H, W)``, 1 outside and 0 inside. For an image side L, the side of the box is
    :math:`2 \lfloor \lfloor L \sqrt{1 - \lambda} \rfloor / 2 \rfloor`. The image border cuts the
    box off.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019.

    Args:
        coefficient: ``(N,)`` :math:`\lambda` in [0, 1].
        centre: ``(N, 2)`` in [0, 1), row and column of the box's centre as shares of the image
            height and width.
        height: image height H in pixels.
        width: image width W in pixels.
    """
    inside = torch.ones(len(coefficient), 1, 1, 1, dtype=torch.bool, device=coefficient.device)
    for axis, length in enumerate((height, width)):
        middle = (centre[:, axis] * length).floor()
        half = ((length * (1 - coefficient).sqrt()).floor() / 2).floor()
        pixel = torch.arange(length, device=coefficient.device)
        within = (pixel >= (middle - half)[:, None]) & (pixel < (middle + half)[:, None])
        inside = inside & (within[:, None, :, None] if axis == 0 else within[:, None, None, :])
    return (~inside).to(coefficient.dtype)


#: Pixel weights of the sample itself, by the name of the mixing method.
WEIGHTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mixup": mixup_weights,
    "cutmix": cutmix_weights,
}


def beta(count: int, alpha: float, device: torch.device) -> Tensor:
    """``(count,)`` random draws of Beta(alpha, alpha), from torch's global CPU generator."""
    concentration = torch.tensor(alpha)  # on the CPU: not every device can draw from Beta
    distribution = torch.distributions.Beta(concentration, concentration, validate_args=False)
    draws: Tensor = distribution.sample((count,))
    return draws.to(device)


class Mixup(Augmentation):
    r"""Mix each image and its target with those of a random image of the batch.

    .. math:: \tilde x = \lambda x_i + (1 - \lambda) x_j, \quad
              \tilde t = \lambda t_i + (1 - \lambda) t_j, \quad
              \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    Pairs are random, so the correlation of bias and target remains.
    :class:`debias.augment.lisa.LISA` chooses pairs that weaken it.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. The default alpha
    is that of SubpopBench (Yang et al., "Change is Hard: A Closer Look at Subpopulation Shift",
    ICML 2023).

    Args:
        groups: the groups of the data; single-label.
        alpha: positive. With a small alpha most images are hardly mixed.

    Raises:
        ValueError: ``alpha`` is not positive, or the targets are multi-label.

    Differs from the reference: a coefficient is drawn per sample, not per batch.
    """

    single_label = True
    mixes_targets = True
    weights = staticmethod(mixup_weights)

    def __init__(self, groups: Groups, *, alpha: float = 0.2) -> None:
        super().__init__(groups)
        check_positive({"alpha": alpha}, of=type(self).__name__)
        self.classes, self.alpha = groups.outputs, alpha

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Mix the samples of a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch with ``(N,)`` class indices, which is not modified.
            progress: has no effect.
        """
        partner = torch.randperm(len(batch.target), device=batch.image.device)
        coefficient = beta(len(partner), self.alpha, partner.device)
        return blend(batch, partner, self.weights(coefficient, batch.image), classes=self.classes)


class CutMix(Mixup):
    r"""Paste a box of another image, and mix the targets by the areas.

    The box has the share :math:`1 - \lambda` of the image area, with
    :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)`. The image border may cut the box off. The
    target counts only the part inside the image.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019; reference code clovaai/CutMix-PyTorch.

    Args:
        groups: the groups of the data; single-label.
        alpha: positive; 1 makes all areas equally likely.

    Raises:
        ValueError: ``alpha`` is not positive, or the targets are multi-label.

    Differs from the reference: a box is drawn per sample, not per batch, and every batch is mixed.
    """

    weights = staticmethod(cutmix_weights)

    def __init__(self, groups: Groups, *, alpha: float = 1.0) -> None:
        super().__init__(groups, alpha=alpha)
