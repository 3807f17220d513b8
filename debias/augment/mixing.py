"""Mixup and CutMix: pictures mixed pixel by pixel, targets by each one's share of the picture."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.augment.augmentation import Augmentation
from debias.errors import check_positive
from debias.types import Batch, Groups


def blend(batch: Batch, partner: Tensor, own: Tensor, *, classes: int) -> Batch:
    r"""Each sample blended with its partner.

    .. math:: \tilde x_i = w_i x_i + (1 - w_i)\, x_{p(i)}, \qquad
              \tilde t_i = \bar w_i t_i + (1 - \bar w_i)\, t_{p(i)}

    where :math:`\bar w` is the mean of w over the picture. Masks and backgrounds are blended as the
    picture is; bias, index and weight stay those of the first.

    Args:
        batch: with ``(N,)`` class indices.
        partner: ``(N,)`` int64 p, positions in the batch.
        own: w, ``(N, 1, H, W)`` or ``(N, 1, 1, 1)`` in [0, 1]; 1 leaves a sample as it is, to the
            last bit.
        classes: number of classes C.

    Returns:
        The batch with ``(N, C)`` class probabilities as targets.
    """

    def blended(first: Tensor) -> Tensor:
        """Pixels or masks of a sample, mixed with its partner's."""
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
    """``(N, 1, 1, 1)`` weight of the first picture: the coefficient, everywhere."""
    return coefficient[:, None, None, None]


def cutmix_weights(coefficient: Tensor, image: Tensor) -> Tensor:
    """``(N, 1, H, W)`` weight of the first picture: 0 in a box at a random place, 1 around it."""
    centre = torch.rand(len(image), 2, device=image.device)
    return outside_box(coefficient, centre, height=image.shape[2], width=image.shape[3])


def outside_box(coefficient: Tensor, centre: Tensor, *, height: int, width: int) -> Tensor:
    r"""1 outside a box of :math:`1 - \lambda` of the frame, 0 inside, ``(N, 1, H, W)``.

    The box has sides :math:`2 \lfloor \lfloor L \sqrt{1 - \lambda} \rfloor / 2 \rfloor` for frames
    of side L, and is cut off by the frame.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019.

    Args:
        coefficient: ``(N,)`` :math:`\lambda` in [0, 1].
        centre: ``(N, 2)`` in [0, 1), row and column of the box's centre as shares of the frame.
        height: H.
        width: W.
    """
    inside = torch.ones(len(coefficient), 1, 1, 1, dtype=torch.bool, device=coefficient.device)
    for axis, length in enumerate((height, width)):
        middle = (centre[:, axis] * length).floor()
        half = ((length * (1 - coefficient).sqrt()).floor() / 2).floor()
        pixel = torch.arange(length, device=coefficient.device)
        within = (pixel >= (middle - half)[:, None]) & (pixel < (middle + half)[:, None])
        inside = inside & (within[:, None, :, None] if axis == 0 else within[:, None, None, :])
    return (~inside).to(coefficient.dtype)


#: The two ways in which pictures are mixed.
WEIGHTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mixup": mixup_weights,
    "cutmix": cutmix_weights,
}


def beta(count: int, alpha: float, device: torch.device) -> Tensor:
    """``(count,)`` draws of Beta(alpha, alpha), from torch's global generator of the CPU."""
    concentration = torch.tensor(alpha)  # on the CPU: not every device draws from Beta
    distribution = torch.distributions.Beta(concentration, concentration, validate_args=False)
    draws: Tensor = distribution.sample((count,))
    return draws.to(device)


class Mixup(Augmentation):
    r"""Mix each image and its target with those of a random other image.

    .. math:: \tilde x = \lambda x_i + (1 - \lambda) x_j, \quad
              \tilde t = \lambda t_i + (1 - \lambda) t_j, \quad
              \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    Pairs are random, so the shortcut stays where it was; :class:`debias.augment.lisa.LISA` chooses
    them against it.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. The default is
    SubpopBench's (Yang et al., "Change is Hard: A Closer Look at Subpopulation Shift", ICML 2023).

    Args:
        groups: the groups of the data; single-label.
        alpha: positive; small, samples hardly mix.

    Raises:
        ValueError: ``alpha`` is not positive.

    Differs from the reference: each sample has a coefficient of its own, not each batch.
    """

    single_label = True
    mixes_targets = True
    weights = staticmethod(mixup_weights)

    def __init__(self, groups: Groups, *, alpha: float = 0.2) -> None:
        super().__init__(groups)
        check_positive({"alpha": alpha}, of=type(self).__name__)
        self.classes, self.alpha = groups.outputs, alpha

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Mix a batch; everything random comes from torch's global generators.

        Args:
            batch: with ``(N,)`` class indices; left as it is.
            progress: share of the training that is done; does not matter.
        """
        partner = torch.randperm(len(batch.target), device=batch.image.device)
        coefficient = beta(len(partner), self.alpha, partner.device)
        return blend(batch, partner, self.weights(coefficient, batch.image), classes=self.classes)


class CutMix(Mixup):
    r"""Paste a box of another image; the target follows the areas.

    The box has :math:`1 - \lambda` of the frame,
    :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)`, before the frame cuts it off; what the frame
    has left of it is what counts in the target.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019; reference code clovaai/CutMix-PyTorch.

    Args:
        groups: the groups of the data; single-label.
        alpha: positive; 1 makes all areas equally likely.

    Raises:
        ValueError: ``alpha`` is not positive.

    Differs from the reference: each sample has a box of its own, not each batch, and every batch is
    mixed.
    """

    weights = staticmethod(cutmix_weights)

    def __init__(self, groups: Groups, *, alpha: float = 1.0) -> None:
        super().__init__(groups, alpha=alpha)
