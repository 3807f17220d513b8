"""A translator of images between classes, and its critic, in the form of StarGAN."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_at_least
from debias.models.layers import without_autocast

#: Times that the translator halves its maps.
HALVINGS = 2
#: Smallest side of its images, whose smallest maps then have more than one position.
SMALLEST_SIDE = 2 ** (HALVINGS + 1)


class TranslatorBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation, whose result is added to the maps.

    Args:
        channels: channels of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.layers = nn.Sequential(*_normalised(first), *_normalised(second)[:-1])

    def forward(self, maps: Tensor) -> Tensor:
        """The maps plus their change."""
        changed: Tensor = maps + self.layers(maps)
        return changed


class Translator(nn.Module):
    """A network from an image and a class to the image as one of that class.

    The class joins the image as one plane per class, which is 1 for this class and 0 for others. A
    7x7 convolution follows, then two halvings, residual blocks, two doublings, and a 7x7
    convolution with tanh. Pixels are in [-1, 1].

    Source: Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain
    Image-to-Image Translation", CVPR 2018; reference code yunjey/stargan.

    Args:
        classes: number of classes K.
        width: channels of the first maps, at least 1. The smallest maps have four times as many.
        blocks: number of residual blocks, at least 0. Published: 64 channels and 6 blocks for
            images of 128 pixels.

    Raises:
        ValueError: ``width`` is below 1, or ``blocks`` is negative.

    Differs from the reference: instance normalisation keeps no running statistics, which the
    reference never reads.
    """

    def __init__(self, classes: int, *, width: int, blocks: int) -> None:
        super().__init__()
        check_at_least(1, {"width": width}, of="a translator")
        check_at_least(0, {"blocks": blocks}, of="a translator")
        self.classes = classes
        widths = [width * 2**level for level in range(HALVINGS + 1)]
        first = nn.Conv2d(3 + classes, width, 7, padding=3, bias=False)
        last = nn.Conv2d(width, 3, 7, padding=3, bias=False)
        down = [nn.Conv2d(*pair, 4, stride=2, padding=1, bias=False) for pair in pairwise(widths)]
        up = [
            nn.ConvTranspose2d(*pair, 4, stride=2, padding=1, bias=False)
            for pair in pairwise(reversed(widths))
        ]
        self.layers = nn.Sequential(
            *(layer for one in (first, *down) for layer in _normalised(one)),
            *(TranslatorBlock(widths[-1]) for _ in range(blocks)),
            *(layer for one in up for layer in _normalised(one)),
            last,
            nn.Tanh(),
        )

    def forward(self, image: Tensor, new_class: Tensor) -> Tensor:
        """Translate images to classes.

        Args:
            image: ``(N, 3, H, W)`` float in [-1, 1].
            new_class: ``(N,)`` int64 class that each image becomes, in [0, K).

        Returns:
            ``(N, 3, H, W)`` float in [-1, 1].

        Raises:
            ValueError: a side of the images is no multiple of 4, or below 8 pixels.
        """
        check_sides(image)
        planes = F.one_hot(new_class, self.classes).to(image)[:, :, None, None]
        planes = planes.expand(-1, -1, *image.shape[-2:])
        translated: Tensor = self.layers(torch.cat([image, planes], dim=1))
        return translated


def check_sides(image: Tensor) -> None:
    """Check that a translator can restore the size of ``(..., H, W)`` images.

    Raises:
        ValueError: a side of the images is no multiple of 4, or below 8 pixels.
    """
    sides = tuple(image.shape[-2:])
    if min(sides) < SMALLEST_SIDE or any(side % 2**HALVINGS for side in sides):
        raise InputError(
            f"a translator needs images whose sides are multiples of {2**HALVINGS} and at least "
            f"{SMALLEST_SIDE} pixels; got {sides}. Set another preprocessing.size"
        )


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    """A convolution, instance normalisation with a learnt scale and shift, and ReLU."""
    norm = nn.InstanceNorm2d(convolution.out_channels, affine=True)
    return convolution, norm, nn.ReLU(inplace=True)


class Critic(nn.Module):
    """A network that scores how real the places of an image are, and recognises its class.

    Convolutions with stride 2 and leaky ReLU, and two last layers: a 3x3 convolution gives the
    scores, and one that covers the whole map gives the logits.

    Source: Choi et al., CVPR 2018, as :class:`Translator`.

    Args:
        classes: number of classes K.
        image: ``(1, 3, H, W)`` float, an example that gives the image size.
        width: channels of the first map, at least 1. Each next map has twice as many.
        depth: number of times that the image is halved, at least 1.

    Raises:
        ValueError: ``width`` or ``depth`` is below 1, or a side of the image is below
            ``2 ** depth`` pixels.
    """

    def __init__(self, classes: int, image: Tensor, *, width: int, depth: int) -> None:
        super().__init__()
        check_at_least(1, {"width": width, "depth": depth}, of="a critic")
        sides = [side // 2**depth for side in image.shape[-2:]]
        if min(sides) < 1:
            raise InputError(
                f"depth must be such that images have sides of at least 2 ** depth pixels; got "
                f"depth={depth} for {tuple(image.shape[-2:])} pixels. Set a smaller depth"
            )
        widths = [3, *(width * 2**level for level in range(depth))]
        layers: list[nn.Module] = []
        for pair in pairwise(widths):
            layers += [nn.Conv2d(*pair, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers)
        self.score = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.classify = nn.Conv2d(widths[-1], classes, (sides[0], sides[1]), bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Score images and recognise their class.

        Args:
            image: ``(N, 3, H, W)`` float in [-1, 1].

        Returns:
            ``(N, 1, h, w)`` scores, and ``(N, K)`` logits.
        """
        maps = self.layers(image)
        return self.score(maps), self.logits(maps)

    def logits(self, maps: Tensor) -> Tensor:
        """``(N, K)`` logits of the maps before the last layers."""
        return without_autocast(self.classify, maps).flatten(1)
