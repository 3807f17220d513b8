"""PixMix: mixes pictures of complex structure, such as fractals, into each image."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from debias.augment.augmix_operations import HIGHEST, augmented
from debias.augment.partners import FolderReader, PartnerAugmentation
from debias.errors import check_at_least, check_between, check_positive


class PixMixDraws(NamedTuple):
    """The random choices of PixMix for N images and at most K rounds, on the CPU.

    Attributes:
        operated: ``(N,)`` bool, whether the image starts from an operation on itself.
        rounds: ``(N,)`` int64, number of rounds.
        own: ``(K, N)`` bool, whether a round mixes an operation on the image, not its partner.
        multiplied: ``(K, N)`` bool, whether a round multiplies; otherwise it adds.
        first: ``(K, N)`` coefficient a of the image.
        second: ``(K, N)`` coefficient b of the picture that is mixed in.
    """

    operated: Tensor
    rounds: Tensor
    own: Tensor
    multiplied: Tensor
    first: Tensor
    second: Tensor


def pixmix_draws(count: int, *, rounds: int, beta: float) -> PixMixDraws:
    r"""Make the random choices for ``count`` images, with torch's global CPU generator.

    With probability 1/2, :math:`a \sim \mathrm{Beta}(\beta, 1)` and
    :math:`b \sim \mathrm{Beta}(1, \beta)`. Otherwise :math:`a \sim 1 + \mathrm{Beta}(1, \beta)` and
    :math:`b \sim -\mathrm{Beta}(1, \beta)`.
    """
    inner = torch.rand(rounds, count) < 0.5
    # the quantile functions of Beta(beta, 1) and Beta(1, beta)
    high = torch.rand(rounds, count) ** (1 / beta)
    low = 1 - torch.rand(rounds, count) ** (1 / beta)
    return PixMixDraws(
        operated=torch.rand(count) < 0.5,
        rounds=torch.randint(rounds + 1, (count,)),
        own=torch.rand(rounds, count) < 0.5,
        multiplied=torch.rand(rounds, count) < 0.5,
        first=torch.where(inner, high, 2 - high),
        second=torch.where(inner, low, -low),
    )


def added(pixels: Tensor, other: Tensor, first: Tensor, second: Tensor) -> Tensor:
    r""":math:`(a (2 x - 1) + b (2 m - 1) + 1) / 2`, which is the mean of x and m for a = b = 1/2.

    Args:
        pixels: x, ``(N, 3, H, W)`` in [0, 1].
        other: m, of the same shape.
        first: a, which broadcasts with x.
        second: b, in the same way.
    """
    return (first * (2 * pixels - 1) + second * (2 * other - 1) + 1) / 2


def multiplied(pixels: Tensor, other: Tensor, first: Tensor, second: Tensor) -> Tensor:
    r""":math:`(2 x)^a (2 m)^b / 2`, which is the geometric mean of x and m for a = b = 1/2.

    Args:
        pixels: x, ``(N, 3, H, W)`` in [0, 1].
        other: m, of the same shape. Values near 0 count as 1e-37, because b may be negative.
        first: a, which broadcasts with x.
        second: b, in the same way.
    """
    return (2 * pixels) ** first * (2 * other).clamp(min=1e-37) ** second / 2


def pixmix(
    pixels: Tensor, partner: Tensor, draws: PixMixDraws, operation: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mix each image several times with operations on itself, or with its partner.

    Args:
        pixels: ``(N, 3, H, W)`` in [0, 1].
        partner: the pictures to mix in, of the same shape.
        draws: the random choices.
        operation: maps ``(M, 3, H, W)`` pixels to changed pixels, with draws of its own.

    Returns:
        ``(N, 3, H, W)`` in [0, 1].
    """
    mixed = pixels.clone()
    rows = draws.operated.nonzero().flatten().to(pixels.device)
    mixed[rows] = operation(pixels[rows])
    for number in range(int(draws.rounds.max())):
        active = (draws.rounds > number).nonzero().flatten()
        own, by_product, first, second = (
            choice[number, active].to(pixels.device)[:, None, None, None] for choice in draws[2:]
        )
        active = active.to(pixels.device)
        other = torch.where(own, operation(pixels[active]), partner[active])
        sides = mixed[active], other, first.to(pixels), second.to(pixels)
        mixed[active] = torch.where(by_product, multiplied(*sides), added(*sides)).clamp(0, 1)
    return mixed


class PixMix(PartnerAugmentation):
    r"""Mix pictures of complex structure into each image, by sums and products.

    An image starts as it is or, with probability 1/2, from a random operation on it. Each of
    0 to k rounds mixes in the partner or an operation on the image: :func:`added` or
    :func:`multiplied`. The target stays.

    Source: Hendrycks et al., "PixMix: Dreamlike Pictures Comprehensively Improve Safety Measures",
    CVPR 2022; reference code andyzoujm/pixmix.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        read_folder: reads the pictures below a folder.
        partner: "batch", or the path of a folder of pictures. The authors use a folder of fractals
            and feature visualisations.
        probability: probability of changing an image, in [0, 1].
        rounds: k, greatest number of rounds, at least 0.
        beta: :math:`\beta`, positive. A greater value mixes less. The authors use 3 for CIFAR and 4
            for ImageNet.
        severity: greatest strength of an operation, in [0.1, 10], see
            :func:`debias.augment.augmix_operations.augmented`. The authors use 3 for CIFAR and 1
            for ImageNet.

    Raises:
        ValueError: an option is out of range, or the folder has no picture.

    Differs from the reference: the partner is brought to the size of the images without a random
    crop. The operations work on tensors.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        read_folder: FolderReader,
        *,
        partner: str = "batch",
        probability: float = 1.0,
        rounds: int = 4,
        beta: float = 3.0,
        severity: float = 3.0,
    ) -> None:
        super().__init__(mean, std, read_folder, partner=partner, probability=probability)
        check_at_least(0, {"rounds": rounds}, of="PixMix")
        check_positive({"beta": beta}, of="PixMix")
        check_between(f"[0.1, {HIGHEST}]", {"severity": severity}, of="PixMix")
        self.rounds, self.beta, self.severity = rounds, beta, severity

    def mixed(self, pixels: Tensor, partner: Tensor) -> Tensor:
        """Mix the partners into the images."""
        draws = pixmix_draws(len(pixels), rounds=self.rounds, beta=self.beta)
        return pixmix(pixels, partner, draws, partial(augmented, severity=self.severity))
