"""RandConv: filters images by a random convolution, which keeps shapes and changes textures."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.augment.augmentation import Augmentation
from debias.errors import InputError, check_between
from debias.types import Batch


def random_filters(size: int, like: Tensor) -> Tensor:
    r"""``(C, C, k, k)`` random filters with entries of :math:`N(0, 1 / (C k^2))`.

    An image of white noise then keeps its variance on average.

    Args:
        size: side k of the filters.
        like: ``(N, C, H, W)`` images, which give channels, dtype and device.
    """
    channels = like.shape[1]
    filters = torch.randn(channels, channels, size, size, dtype=like.dtype, device=like.device)
    return filters / math.sqrt(channels * size**2)


class RandomConvolution(Augmentation):
    r"""Filter each batch by a random convolution, so that shapes remain and textures change.

    .. math:: x' = w * x \quad\text{or}\quad x' = \alpha\, (w * x) + (1 - \alpha)\, x, \qquad
              w \sim N\!\left(0, \tfrac{1}{3 k^2}\right), \quad \alpha \sim U(0, 1)

    The side k of the filters, the filters and :math:`\alpha` are drawn once per batch. Images are
    filtered as they are normalised, with zeros around them. Filters of side 1 change colours only.
    Larger ones also change textures smaller than k pixels. Targets, bias labels and masks do not
    change. ``strategy.name=consistency`` adds the consistency loss of the paper.

    A filter shifts the mean of its whole batch. The running statistics of a batch normalisation are
    then means over filters, and may fit no image: on drawn sprites, a network learnt the class and
    was at chance in evaluation. The published network of the digits has no batch normalisation.
    Take such a network, ``model.freeze_batch_norm`` with pretrained weights, or
    ``strategy.name=shape_texture``, whose copies have their own batch normalisations.

    Source: Xu et al., "Robust and Generalizable Visual Representation Learning via Random
    Convolutions" (RandConv), ICLR 2021; reference code wildphoton/RandConv.

    Args:
        sizes: odd sides k; each batch draws one of them.
        identity: probability in [0, 1] that a batch stays unchanged.
        mix: use the second form (RC_mix), which blends with the image. The published RC_mix has
            ``identity`` 0.

    Raises:
        ValueError: ``sizes`` is empty or has a number that is even or below 1, or ``identity`` is
            outside [0, 1].

    Differs from the reference: nothing; its filters for grey images and its bounds for the result
    are left out.
    """

    def __init__(
        self, *, sizes: tuple[int, ...] = (1, 3, 5, 7), identity: float = 0.5, mix: bool = False
    ) -> None:
        super().__init__()
        check_between("[0, 1]", {"identity": identity}, of="RandomConvolution")
        _check_sizes(sizes)
        self.sizes, self.identity, self.mix = tuple(sizes), identity, mix

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Filter the images of a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch, which is not modified.
            progress: has no effect.
        """
        keep, share = torch.rand(2).tolist()  # on the CPU, so that the device need not be awaited
        if keep < self.identity:
            return batch
        size = self.sizes[int(torch.randint(len(self.sizes), ()))]
        filters = random_filters(size, batch.image)
        with torch.autocast(batch.image.device.type, enabled=False):
            filtered = F.conv2d(batch.image, filters, padding=size // 2)
        image = torch.lerp(batch.image, filtered, share) if self.mix else filtered
        return batch._replace(image=image)


def _check_sizes(sizes: Sequence[int]) -> None:
    if not sizes or any(size < 1 or size % 2 == 0 for size in sizes):
        raise InputError(
            f"sizes must be odd numbers from 1 on for RandomConvolution; got {list(sizes)}. An "
            "example is sizes=[1,3,5,7]"
        )
